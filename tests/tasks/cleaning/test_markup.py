"""Tags, entities, adverts, navigation."""

import pytest

from tasks.cleaning.markup import Markup
from tasks.cleaning.text import tidy
from tasks.prepare import PrepareParams

STORY = 'Tim had a hook.\n"Don\'t be sad," said Mom & Dad.'


@pytest.fixture(scope="module")
def markup(params: PrepareParams) -> Markup:
    return Markup(params.markup)


@pytest.mark.parametrize(
    "page",
    [
        "<div class='s'><p>Tim had a hook.</p><p>&quot;Don&#x27;t be sad,&quot; said Mom &amp; Dad.</p></div>",
        "Tim&nbsp;had&nbsp;a hook.<br/>&quot;Don&#x27;t be sad,&quot; said Mom &amp; Dad.",
        "Tim had a hook.\n&amp;quot;Don&amp;#x27;t be sad,&amp;quot; said Mom &amp;amp; Dad.",
        '&lt;p&gt;Tim had a hook.&lt;/p&gt;"Don\'t be sad," said Mom &amp;amp; Dad.',
        "<script>var a={b:3};</script><style>p{color:red}</style>" + STORY.replace("&", "&amp;") + "<!-- end -->",
        'Tim had a ho<a href="https://ads.example.com/?q=1" target=_blank>BUY NOW!!!</a> <b>ok.'
        '\n"Don\'t be sad," said Mom &amp; Dad.',
        "<nav>Home</nav><article>" + STORY.replace("&", "&amp;") + "</article><footer>Imprint</footer>",
    ],
)
def test_the_text_of_a_page_is_left(markup: Markup, page: str) -> None:
    text, had_markup = markup.remove(page)
    assert had_markup
    assert tidy(text) == STORY


@pytest.mark.parametrize("text", ["3 < 5 and 7 > 2", "Mom & Dad; I <3 you", "AT&T", "a plain story"])
def test_text_without_mark_up_is_left_alone(markup: Markup, text: str) -> None:
    assert markup.remove(text) == (text, False)


def test_a_link_in_the_story_keeps_its_words(markup: Markup) -> None:
    assert markup.remove('The <a href="/fox">red fox</a> ran.')[0] == "The red fox ran."


def test_lines_of_a_page_go_and_lines_of_a_story_stay(markup: Markup) -> None:
    story = ["Tim wanted to share the cake.", 'Mom said, "We use cookie cutters."', "They read more stories."]
    page = [
        "Home | Stories | About | Log in",
        "Share this on social media",
        *story,
        "Read more stories at https://stories.example.org/page?id=17&ref=rss",
        "We use cookies. Accept all | Reject all",
        "© 2021 Example Stories. All rights reserved.",
    ]
    assert markup.without_navigation("\n".join(page)) == ("\n".join(story), 5)
