"""The rules that look at one text: normalising, language, personal data. English and Hungarian."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_data_quality.adapters.detector import load_detector
from headrace_data_quality.core.cleaning import Cleaned, clean
from headrace_data_quality.core.language import Detect, judge
from headrace_data_quality.core.pii import redact
from headrace_data_quality.core.rows import RawRow, Reject
from headrace_data_quality.core.text import normalise, prompt_key, same_text
from headrace_events.workload import Data


@pytest.fixture(scope="module")
def detect() -> Detect:
    return load_detector()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u0301rvi\u0301z", "árvíz"),  # NFC
        ("  Hol   van\u00a0a \t kártyám?  ", "Hol van a kártyám?"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("zero\u200bwidth\ufeff and bell\x07", "zerowidth and bell"),
        ("right\u202eto left", "rightto left"),
        ("def f():\n    return  1  \n\n\n\nx", "def f():\n    return 1\n\nx"),
        ("👩\u200d💻 stays", "👩\u200d💻 stays"),
        ("\u0000\u0001 \n\t", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(expected) == expected


def test_prompts_that_are_the_same() -> None:
    keys = {
        prompt_key(t) for t in ("Hol van a kártyám?", "hol  van a KÁRTYÁM", "Hol van a kártyám ?")
    }
    assert len(keys) == 1
    assert prompt_key("Hol van a kártyád?") not in keys
    assert prompt_key("?") == "?"
    assert same_text("Igen,  az.", "igen, az.")
    assert not same_text("Igen", "Nem")


ENGLISH = "I would like to know when my new card is going to arrive at my address."
HUNGARIAN = "Szeretném megtudni, hogy mikor érkezik meg az új bankkártyám a lakcímemre."
FRENCH = "Je voudrais savoir quand ma nouvelle carte bancaire va arriver à mon adresse."
GERMAN = "Ich möchte gerne wissen, wann meine neue Bankkarte bei mir zu Hause ankommt."


@pytest.mark.parametrize(
    ("text", "wanted", "language", "foreign"),
    [
        (ENGLISH, ("en", "hu"), "en", False),
        (HUNGARIAN, ("en", "hu"), "hu", False),
        (FRENCH, ("en", "hu"), "und", True),
        (GERMAN, ("en", "hu"), "und", True),
        (HUNGARIAN, ("en",), "und", True),
        ("Où est ma carte?", ("en", "hu"), None, False),  # too short to be sure
        ("card_arrival", ("en",), "und", False),
        ("What does `os.path.join` do?", ("en", "hu"), "en", False),
        ("def f(x): return {i: i**2 for i in range(10)}", ("en", "hu"), None, False),
        ("12345 + 67 = ?", ("en",), "und", False),
        (f"{ENGLISH} {FRENCH[:30]}", ("en",), "en", False),  # a quotation
    ],
)
def test_language(
    detect: Detect, text: str, wanted: tuple[str, ...], language: str | None, foreign: bool
) -> None:
    verdict = judge(text, wanted, detect)
    assert verdict.foreign is foreign
    assert language is None or verdict.language == language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+bank@mail.example.co.uk, please.", "Write to <EMAIL>, please."),
        ("Írjon a kovács.béla@példa.hu címre!", "Írjon a <EMAIL> címre!"),
        ("My IBAN is HU42 1177 3016 1111 1018 0000 0000 thanks", "My IBAN is <IBAN> thanks"),
        ("GB82WEST12345698765432.", "<IBAN>."),
        ("Card 4111 1111 1111 1111 was declined", "Card <CARD> was declined"),
        ("A kártyaszámom 5500-0000-0000-0004.", "A kártyaszámom <CARD>."),
        ("Amex 378282246310005", "Amex <CARD>"),
        ("Hívjon: +36 30 123 4567 (este)", "Hívjon: <PHONE> (este)"),
        ("Telefon: 06 30 123 4567", "Telefon: <PHONE>"),
        ("Call (212) 736-5000 or +44 20 7946 0958", "Call <PHONE> or <PHONE>"),
        ("a@b.hu és c@d.hu", "<EMAIL> és <EMAIL>"),
        ("Tel:06301234567, 06-30-123-4567", "Tel:<PHONE>, <PHONE>"),
        ("06/30/123-4567 vagy 06.30.123.4567", "<PHONE> vagy <PHONE>"),
        ("06 30 1234567, 06\u00a030\u00a0123\u00a04567", "<PHONE>, <PHONE>"),
        ("06–30–123–4567, 06\u201130\u2011123\u20114567", "<PHONE>, <PHONE>"),
        ("írjon a kata@example.hu-ra", "írjon a <EMAIL>-ra"),
        ("a 8362361123-es adószám, TAJ: 123 456 788", "a <HU_TAX_ID>-es adószám, TAJ: <HU_TAJ>"),
        ("HU42\u202f1177\u202f3016\u202f1111\u202f1018\u202f0000\u202f0000", "<IBAN>"),
    ],
)
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    redacted, counts = redact(text)
    assert redacted == expected
    assert sum(counts.values()) == expected.count("<")
    assert redact(redacted) == (redacted, {})


@pytest.mark.parametrize(
    "text",
    [
        "Python 3.11.4 was released on 2023-06-06, see PEP 484 and RFC 2822.",
        "Run `git show 1234567890abcdef` and @property.setter; use user@host for ssh.",
        "The transfer of 1 234 567 890 HUF and $1,234,567.89 arrived on 12/05/2023 10:15:30.",
        "2023. 05. 12-én 12:30-kor 250 000 Ft-ot utaltam, rendelés 123456789012.",
        "The order number is 06 301 234 567 8901 2345 6789.",
        "Order 4111 1111 1111 1112 has a wrong check digit.",
        "IBAN HU42 1177 3016 1111 1018 0000 0001 is mistyped.",
        "pi = 3.14159265358979323846 and 2**64 = 18446744073709551616",
        "192.168.100.200 and 10.0.0.1:8080, ISBN 978-3-16-148410-0",
        "timestamp 1700000000 seconds, 0x7fffffff, 1e-10, range(1000000000)",
        "What does `zipfile.ZipInfo.date_time` (1980, 1, 1, 0, 0, 0) hold?",
        "0000 0000 0000 0000",
        "12 345 678 Ft és 123 456 788 Ft",
    ],
)
def test_numbers_that_are_nobodys(text: str) -> None:
    assert redact(text) == (text, {})


def row(prompt: str, completion: str) -> RawRow:
    return RawRow("id", "batch", prompt, completion)


@pytest.mark.parametrize(
    ("prompt", "completion", "reason"),
    [
        (" \u200b ", "x", "empty_prompt"),
        ("x", "\n\t", "empty_completion"),
        ("x" * 60, "y" * 41, "too_long"),
        (FRENCH, "carte", "language"),
    ],
)
def test_rejected_with_a_reason(detect: Detect, prompt: str, completion: str, reason: str) -> None:
    policy = Data(max_chars=100)
    assert clean(row(prompt, completion), policy, detect) == Reject("id", "batch", reason)


def test_what_the_manifest_says_of_personal_data(detect: Detect) -> None:
    text = "Please write to me at jane@example.com about it"
    redacted = clean(row(text, "ok"), Data(pii="redact"), detect)
    assert isinstance(redacted, Cleaned)
    assert redacted.prompt == "Please write to me at <EMAIL> about it"
    assert redacted.redactions == {"email": 1}
    kept = clean(row(text, "ok"), Data(pii="keep"), detect)
    assert isinstance(kept, Cleaned)
    assert kept.prompt == text
    assert clean(row(text, "ok"), Data(pii="drop"), detect) == Reject("id", "batch", "pii")


@given(st.text(max_size=200))
def test_rules_hold_for_any_text(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert "\r" not in once
    assert "\x00" not in once
    assert prompt_key(prompt_key(once)) == prompt_key(once)
    redacted, counts = redact(once)
    assert (redacted == once) == (not counts)
