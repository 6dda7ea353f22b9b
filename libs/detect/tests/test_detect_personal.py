"""Personal data as people write it, English and Hungarian, and the numbers that are nobody's."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from headrace_detect import Finding, find, replace
from headrace_detect.personal import PERSONAL


def clean(text: str) -> str:
    (found,) = find([text], PERSONAL)
    return replace(text, found, lambda kind: f"<{kind}>")


@pytest.mark.parametrize(
    "written",
    [
        "06-30-123-4567",
        "06/30/123-4567",
        "06/30/1234567",
        "06.30.123.4567",
        "06 30 1234567",
        "06 30 123 4567",
        "06 30 12 34 567",
        "06301234567",
        "0630 123 4567",
        "0630/123-4567",
        "(06) 30 123 4567",
        "(06-30) 123-4567",
        "06 1 234 5678",
        "06-1/234-5678",
        "06 72 123 456",
        "+36 30 123 4567",
        "+36-30/123-4567",
        "(+36) 30 123 4567",
        "+36301234567",
        "0036 30 123 4567",
        "+44 20 7946 0958",
        "020 7946 0958",
        "(212) 736-5000",
        "212-736-5000",
        "212.736.5000",
        "1-212-736-5000",
        "+1 (212) 736-5000",
    ],
)
@pytest.mark.parametrize("around", ["{}", "Tel:{}", "Hívja: {}.", "{}, este", "a {}-es számon"])
def test_phone_numbers(written: str, around: str) -> None:
    masked = clean(around.format(written))
    assert masked == around.format("<phone>")


DISGUISES = {
    "no-break space": lambda text: text.replace(" ", "\u00a0"),
    "narrow no-break space": lambda text: text.replace(" ", "\u202f"),
    "two spaces": lambda text: text.replace(" ", "  "),
    "no-break hyphen": lambda text: text.replace("-", "\u2011"),
    "en dash": lambda text: text.replace("-", "–"),
    "minus": lambda text: text.replace("-", "\u2212"),
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "zero-width spaces": "\u200b".join,
    "soft hyphens": "\u00ad".join,
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("06 30 123 4567", "phone"),
        ("06-30-123-4567", "phone"),
        ("+36 30 123 4567", "phone"),
        ("HU42 1177 3016 1111 1018 0000 0000", "iban"),
        ("GB29-NWBK-6016-1331-9268-19", "iban"),
        ("4111 1111 1111 1111", "card"),
        ("5500-0000-0000-0004", "card"),
        ("123 456 788", "hu_taj"),
        ("12892312-2-42", "hu_vat"),
        ("8362361123", "hu_tax_id"),
        ("kata@example.hu", "email"),
    ],
)
def test_written_otherwise(disguise: str, written: str, kind: str) -> None:
    text = DISGUISES[disguise](written)
    (found,) = find([f"íme: {text}, ez az"], PERSONAL)
    assert found == (Finding(kind, 5, 5 + len(text)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "írjon a kata@example.hu-ra vagy a bela@x.co.uk-ról",
            "írjon a <email>-ra vagy a <email>-ról",
        ),
        ("az 8362361123-es adóazonosító", "az <hu_tax_id>-es adóazonosító"),
        ("a 123-456-788-as TAJ", "a <hu_taj>-as TAJ"),
        ("a 4111 1111 1111 1111-es kártya", "a <card>-es kártya"),
        ("a HU42 1177 3016 1111 1018 0000 0000-ra", "a <iban>-ra"),
        ("a 12892312-2-42-es cég", "a <hu_vat>-es cég"),
        ("jane.doe+bank@mail.example.co.uk, please", "<email>, please"),
        ("'jane@example.com'", "'<email>'"),
        ("o'brien@example.ie", "<email>"),
        ("kovács.béla@példa.hu és a@b.hu", "<email> és <email>"),
        ("kova\u0301cs@pe\u0301lda.hu", "<email>"),
        ("TAJ szám: 111111110", "TAJ szám: <hu_taj>"),
        ("TAJ-kártyájának száma 111111110", "TAJ-kártyájának száma <hu_taj>"),
        ("de89370400440532013000", "<iban>"),
        ("Amex 378282246310005 és 3782 822463 10005", "Amex <card> és <card>"),
        ("06 30 123 4567 06 30 765 4321", "<phone> <phone>"),
        ("06-30-123-4567/06-20-123-4567", "<phone>/<phone>"),
        ("06301234567,06201234567", "<phone>,<phone>"),
        ("Tel.: 30/123-4567, 20/765-4321", "Tel.: <phone>, <phone>"),
        ("30/123-4567/20/765-4321", "<phone>/<phone>"),
        ("a 30/123-4567-es szám", "a <phone>-es szám"),
        ("(30) 123-4567, 70/1234567, 52/123-456", "<phone>, <phone>, <phone>"),
        ("(1) 234-5678 vagy 1/234-5678", "<phone> vagy <phone>"),
        ("KATA@EXAMPLE.HU-RA és kata@example.hu-Ra", "<email>-RA és <email>-Ra"),
        ("kata@example.hu-2, kata@example.hu_ra", "<email>-2, <email>_ra"),
        ("kata@example.hu...és kata@example.hu.2", "<email>...és <email>.2"),
        ("kata@example.hu-ról-", "<email>-ról-"),
        ("kata@példa.xn--p1ai és KATA@X.XN--P1AI", "<email> és <email>"),
        (f"E-mail{'.' * 80}kata@example.hu", f"E-mail{'.' * 80}<email>"),
        ("TAJ-szám: 123 456 788 06 30 123 4567", "TAJ-szám: <hu_taj> <phone>"),
        ("Kovács 123 456 788 1984.05.01", "Kovács <hu_taj> 1984.05.01"),
        ("8362361123–Kovács, 123 456 788–Kiss", "<hu_tax_id>–Kovács, <hu_taj>–Kiss"),
        ("call +36301234567 or +36-1-234-5678", "call <phone> or <phone>"),
    ],
)
def test_personal_data(text: str, expected: str) -> None:
    assert clean(text) == expected
    assert clean(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "12 345 678 Ft",
        "123 456 788 Ft",
        "$123 456 788",
        "a 12 123 456 788 lakos",
        "123 456 788 000",
        "111111110 darab",
        "the tajfun of 111111110",
        "Python 3.11.4 was released on 2023-06-06, see PEP 484 and RFC 2822.",
        "Run `git show 1234567890abcdef` and @property.setter; use user@host for ssh.",
        "The transfer of 1 234 567 890 HUF and $1,234,567.89 arrived on 12/05/2023 10:15:30.",
        "2023. 05. 12-én 12:30-kor 250 000 Ft-ot utaltam, rendelés 123456789012.",
        "06.30.2026 10:15 and 06/30/2026 12345",
        "The order number is 06 301 234 567 8901 2345 6789.",
        "Order 4111 1111 1111 1112 has a wrong check digit.",
        "IBAN HU42 1177 3016 1111 1018 0000 0001 is mistyped.",
        "pi = 3.14159265358979323846 and 2**64 = 18446744073709551616",
        "192.168.100.200 and 10.0.0.1:8080, ISBN 978-3-16-148410-0",
        "timestamp 1700000000 seconds, 0x7fffffff, 1e-10, range(1000000000)",
        "What does `zipfile.ZipInfo.date_time` (1980, 1, 1, 0, 0, 0) hold?",
        "0000 0000 0000 0000 and 000 000 000",
        "user@localhost and @decorator are no addresses",
        "part 8362361123-XB and AB-8362361123, x8362361123",
        "0,06301234567 and 1.06301234567",
        "20/12/2023, 3/4 123-4567, 2023/30/123-4567, 30/123-45678, 30-1234567, 12-123-4567",
        "20 200 2000, 50/500-5000 db, 12/123-456 Ft, 20/30/1234567",
        "8362361123–2024",
        "def f(a: int = 1_000_000) -> float: return 3.14159265358979",
    ],
)
def test_numbers_that_are_nobodys(text: str) -> None:
    assert clean(text) == text


def check_digits(kind: str, rng: random.Random) -> tuple[str, str] | None:
    """A number with its right check digit, and the same with a wrong one (None: has none)."""
    if kind == "hu_tax_id":
        body = "8" + "".join(rng.choices("0123456789", k=8))
        right = sum(int(d) * place for place, d in enumerate(body, 1)) % 11
        return None if right == 10 else (body + str(right), body + str((right + 1) % 10))
    if kind == "hu_taj":
        body = "".join(rng.choices("0123456789", k=8))
        if not int(body):
            return None
        right = sum(int(d) * (3, 7)[i % 2] for i, d in enumerate(body)) % 10
        made = (body + str(right), body + str((right + rng.randint(1, 9)) % 10))
        return made[0], made[1]
    if kind == "hu_personal_id":
        born = f"{rng.choice(['150', '285', '392', '401'])}{rng.randint(0, 9)}"[:3]
        date = f"{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
        body = born + date + f"{rng.randint(0, 999):03}"
        old = body[0] in "12" and int(body[1:3]) < 97
        weights = range(1, 11) if old else range(10, 0, -1)
        right = sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11
        return None if right == 10 else (body + str(right), body + str((right + 1) % 10))
    if kind == "card":
        body = rng.choice(["4", "51", "2221", "6011"])
        body += "".join(rng.choices("0123456789", k=15 - len(body)))
        right = int(luhn.calc_check_digit(body))
        return body + str(right), body + str((right + rng.randint(1, 9)) % 10)
    bank = "".join(rng.choices("0123456789", k=24))
    right = iban.calc_check_digits(f"HU00{bank}")
    return f"HU{right}{bank}", f"HU{int(right) % 97 + 1:02}{bank}"


GROUPS = {
    "hu_tax_id": ((10,),),
    "hu_taj": ((3, 3, 3),),
    "hu_personal_id": ((11,), (1, 6, 4)),
    "card": ((16,), (4, 4, 4, 4)),
    "iban": ((28,), (4, 4, 4, 4, 4, 4, 4)),
}


def grouped(number: str, sizes: tuple[int, ...], gap: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return gap.join(parts)


@pytest.mark.parametrize("kind", GROUPS)
def test_every_number_with_a_right_check_digit_is_found_and_none_with_a_wrong_one(
    kind: str,
) -> None:
    rng = random.Random(7)
    for _ in range(500):
        made = check_digits(kind, rng)
        if made is None:
            continue
        for sizes in GROUPS[kind]:
            for gap in (" ", "-", "\u00a0", "–", "  "):
                right, wrong = (f"az {grouped(n, sizes, gap)}, igen" for n in made)
                kinds = [f.kind for f in find([right], PERSONAL)[0]]
                assert kinds == [kind], right
                assert kind not in [f.kind for f in find([wrong], PERSONAL)[0]], wrong


@given(st.text(max_size=300))
def test_any_text_is_read_and_its_places_are_its_own(text: str) -> None:
    (found,) = find([text], PERSONAL)
    at = 0
    for finding in found:
        assert at <= finding.start < finding.end <= len(text)
        assert "\n" not in text[finding.start : finding.end]
        at = finding.end


@given(st.text(alphabet="0136 .-/()+@ahu\u00a0\u200b–", max_size=200))
def test_places_are_the_originals(text: str) -> None:
    """What is found in plain writing is found at the same place with invisible signs between."""
    (found,) = find([f"x {text} x"], PERSONAL)
    for finding in found:
        piece = f"x {text} x"[finding.start : finding.end]
        assert piece[0] not in "\u200b\u00a0 "
        assert piece[-1] not in "\u200b\u00a0 "


def test_half_an_emoji_is_read_over() -> None:
    assert clean("\ud83d a@example.com \ude00") == "\ud83d <email> \ude00"
