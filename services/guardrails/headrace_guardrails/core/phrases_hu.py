# ruff: noqa: E501 - a pattern cut into lines is harder to read than a long one
"""Hungarian injection phrases, over folded text (no accents, lower case).

Stems instead of words: Hungarian puts its endings on them. Weights as in English.
"""

from headrace_guardrails.core.phrases import Phrase, phrase

_ORDERS = (
    r"(?:utasitas|szabaly|iranyelv|parancs|prompt|eloiras|instrukcio|rendszeruzenet|korlatozas)\w*"
)
_EARLIER = r"(?:korabbi|elozo|eddigi|fenti|eredeti|kezdeti|osszes|minden|a rendszer|elozoleg|kapott|valamennyi)\w*"
_IGNORE = r"(?:hagyd|hagyja|hagyjad)\w* (?:\w+ ){0,5}?figyelmen kivul|(?:felejts|felejtsd|felejtse|felejtsd el)\w*(?: el)?|(?:ne vedd|ne vegye) figyelembe|(?:mellozd|mellozze|ne torodj|ne kovesd|ne kovesse|torold|toroljed|szegd meg|ird felul|hagyd el|hanyagold el)\b"

PHRASES: tuple[Phrase, ...] = (
    phrase("override", 1.0, "utasitas|szabaly|iranyelv|parancs|prompt|eloiras|instrukcio|rendszeruzenet",
           rf"(?:{_IGNORE}).{{0,40}}?\b{_EARLIER}.{{0,30}}?\b{_ORDERS}"),
    phrase("override", 1.0, "figyelmen kivul",
           rf"\b{_EARLIER}.{{0,30}}?\b{_ORDERS}.{{0,30}}?\b(?:figyelmen kivul|felejts|ne vedd|torold|mellozd)|\bfigyelmen kivul hagy\w*.{{0,40}}?\b{_EARLIER}.{{0,30}}?\b{_ORDERS}"),
    phrase("override", 0.7, "felejts|felejtsd|hagyd",
           r"\bfelejts\w*(?: el)? (?:mindent|minden|amit)\b.{0,60}?\b(?:eddig|elotte|mondtak|utasit|kaptal|tanult|szabaly|tudsz)"),
    phrase("prompt_extraction", 1.0, "prompt|utasitas|rendszeruzenet|szabalyza",
           r"\b(?:mutasd|ird|iras|aruld|mondd|fedd|nyomtasd|ismeteld|add|masold|sorold|kozold|mi a|mi az|mik a|mik az|mi volt|melyek|forditsd)\b.{0,50}?\b(?:rendszer ?-?prompt|rendszer ?-?utasitas|rendszeruzenet|belso utasitas|titkos utasitas|rejtett utasitas|kezdeti utasitas|eredeti utasitas|kezdo ?prompt|system prompt|promptod\w*|utasitasaid)\w*"),
    phrase("repeat_above", 1.0, "fenti|folott|elotte|eddigi",
           r"\b(?:ismeteld|ird|masold|nyomtasd|forditsd)\b.{0,30}?\b(?:mindent|a szoveget|minden szot|szorol szora|a fenti\w*)\b.{0,30}?\b(?:ami (?:e folott|ez elott|folott|fent)|fenti|fent van|ez elott|felett)"),
    phrase("do_anything_now", 0.8, "barmit", r"\bbarmit (?:megtehet|megteszel|csinalhat|mondhat|tehet)\w*"),
    phrase("unlocked_mode", 0.7, "mod",
           r"\b(?:fejlesztoi|hibakereso|isten|korlatlan|szuretlen|cenzurazatlan|adminisztratori|dan)\W{0,2} ?(?:uzem)?mod\w*"),
    phrase("freed", 0.6, "szabad|kotnek|korlat|kotott|vonatkoz",
           r"\b(?:nem kot\w*|nem korlatoz\w*|megszabadul\w*|felszabadul\w*|kiszabadul\w*|mentes|nem vonatkozik rad\w*|nem vonatkoznak rad\w*|nem kell (?:betart|kovet)\w*)\b.{0,40}?\b(?:szabaly|korlat|irany|eloiras|szuro|cenzura|etik|torveny)\w*"),
    phrase("no_limits", 0.5, "nelkul|nincs|mentes",
           r"\b(?:korlat\w*|szabaly\w*|szur\w*|cenzura|megkotes\w*|erkolcsi\w*|etikai\w*|figyelmeztetes\w*)(?: \w+){0,2}? (?:nelkul|mentes\w*)|\bnincs(?:enek)? (?:\w+ ){0,2}?(?:korlat|szabaly|szuro|cenzura|megkotes|tabu)\w*"),
    phrase("unfiltered", 0.4, "szuretlen|cenzurazatlan|korlatlan|gatlastalan", r"\b(?:szuretlen|cenzurazatlan|korlatlan|gatlastalan)\w*"),
    phrase("regardless", 0.5, "torodve|tekintet|szamit|erdekel|fuggetlenul",
           r"\b(?:nem torodve|tekintet nelkul|fuggetlenul|nem szamit|nem erdekel\w*|nem torodik|nem torodsz)\b.{0,50}?|\b(?:torveny|etik|erkolcs|jog)\w* (?:\w+ )?(?:tekintet nelkul|nem torodve|fuggetlenul)"),
    phrase("never_refuse", 0.55, "tagad|utasit|visszautasit|megtagad",
           r"\b(?:soha|sose|nem|ne) (?:\w+ ){0,3}?(?:tagad\w*|utasit\w* (?:el|vissza)|visszautasit\w*|elutasit\w*|megtagad\w*)"),
    phrase("no_disclaimers", 0.5, "figyelmeztet|bocsanat|elnezest|moraliz|kioktat",
           r"\b(?:ne|nem|soha|nelkul|semmi)\b.{0,30}?\b(?:figyelmeztet|bocsanat|elnezest|moraliz|kioktat|szabadkoz)\w*|\bfigyelmeztetes\w* nelkul"),
    phrase("from_now_on", 0.45, "mostantol|innentol|ettol kezdve|ezentul|mostantol kezdve",
           r"\b(?:mostantol|innentol|ezentul|ettol (?:kezdve|fogva))\b"),
    phrase("persona", 0.4, "viselked|tegy|jatsz|szerep|kepzeld|bujj|kepviseld",
           r"\b(?:viselkedj\w*|tegy(?:el)? ugy|tetesd|jatszd|jatszd el|jatssz\w*|szerepjatek\w*|szerepebe|kepzeld(?: el)?(?:,)? hogy|bujj|szemelyisted)\b"),
    phrase("model_persona", 0.3, "mesterseges|chatgpt|nyelvi modell|chatbot|asszisztens|robot| ai",
           r"\b(?:mesterseges intelligencia|chatgpt|nyelvi modell|chatbot|asszisztens|robot|ai)\w*"),
    phrase("in_character", 0.4, "szerep", r"\b(?:maradj|ne lepj ki|ne ess ki|vegig) (?:a |ebben a |vegig a )?szerep\w*"),
    phrase("illegal_list", 0.45, "illegalis|torvenytelen|etikatlan|erkolcstelen|veszelyes",
           r"\b(?:illegalis|torvenytelen|etikatlan|erkolcstelen|veszelyes|karos)\b,? ?(?:vagy |es |akar )?(?:illegalis|torvenytelen|etikatlan|erkolcstelen|veszelyes|karos)"),
    phrase("just_say", 0.4, "csak |helyette", r"\b(?:csak|helyette|ehelyett|csupan)(?: annyit| azt| ezt)? (?:ird|mondd|valaszold|nyomtasd|irj)\b"),
    phrase("authority", 0.6, "fejleszto|rendszergazda|keszito|adminisztrator",
           r"\b(?:en vagyok|vagyok|mint) (?:a |az |egy |az egyik )?(?:te )?(?:fejleszto|rendszergazda|keszito|adminisztrator)\w*|\b(?:fejleszto|rendszergazda|keszito|adminisztrator)\w* vagyok\b"),
    phrase("new_orders", 0.6, "uj utasitas|uj szabaly|valodi utasitas|uj feladat", r"\b(?:uj|valodi|igazi) (?:utasitas|szabaly|feladat)\w* ?:"),
    phrase("disable_safety", 1.0, "kapcsold|iktasd|keruld|tiltsd|tavolitsd",
           r"\b(?:kapcsold ki|iktasd ki|keruld meg|tiltsd le|tavolitsd el|hatastalanitsd)\b.{0,40}?\b(?:szuro|vedel|korlat|biztonsag|szabaly|moderal|cenzura)\w*|\b(?:szuro|vedel|korlat|biztonsagi|moderal)\w*.{0,20}?\b(?:kapcsold ki|iktasd ki|keruld meg|tiltsd le)"),
)  # fmt: skip
