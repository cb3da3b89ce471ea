from tasks.telemetry import OFF


def test_each_tool_is_told_in_the_words_it_knows() -> None:
    # MLflow reads only "true" of DO_NOT_TRACK; Prefect and Great Expectations want to hear "false"
    assert OFF["DO_NOT_TRACK"] == OFF["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert OFF["PREFECT_SERVER_ANALYTICS_ENABLED"] == OFF["GX_ANALYTICS_ENABLED"] == "false"
    assert OFF["DVC_NO_ANALYTICS"] == OFF["HF_HUB_DISABLE_TELEMETRY"] == "1"
