"""The server of a model: OpenAI's HTTP API and the chat page. How it is computed: tasks/serving."""
