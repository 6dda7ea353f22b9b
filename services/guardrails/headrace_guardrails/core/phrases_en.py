# ruff: noqa: E501 - a pattern cut into lines is harder to read than a long one
"""English injection phrases. Weights add up; 1.0 trips the check.

One strong phrase is enough; of the weak ones (a persona, a format, a mood) it takes several, as
harmless role play has one or two of them.
"""

from headrace_guardrails.core.phrases import Phrase, phrase

_ORDERS = r"(?:instruct\w*|prompts?|rules?|guidelines?|directions?|directives?|commands?|programming|inputs?|polic(?:y|ies)|training|constraints?|messages?|context)"
_MORALS = r"(?:law|legal|illegal|ethic|unethical|moral|immoral|inhumane|consequence|safety|harm)"
_LIMITS = r"(?:restrict|limit|filter|guideline|censor|rule|moral|ethic|boundar|constraint|confine|prohibition|content polic|safeguard)"
_AI = r"(?:an? (?:ai|language model|assistant|chatbot|llm)\b|chat ?gpt|gpt|bot\b|model\b|persona|character)"

PHRASES: tuple[Phrase, ...] = (
    # Strong: orders to drop the orders.
    phrase(
        "override",
        1.0,
        "ignor|disregard|forget|bypass|overrid|let go|override|discard|supersede",
        rf"\b(?:ignor\w*|disregard\w*|forget|overrid\w*|discard|let go of|supersede)\b.{{0,30}}?"
        rf"\b(?:previous|prior|above|earlier|preceding|before|initial|original|existing|default|system|developer|foregoing)\b.{{0,25}}?\b{_ORDERS}",
    ),
    phrase(
        "override",
        1.0,
        "ignor|disregard|forget|let go",
        rf"\b(?:ignore|disregard|forget|let go of)\b (?:all |any |everything|every )?(?:of )?(?:the |your |those |these )?{_ORDERS}?.{{0,20}}?"
        r"\b(?:you (?:have (?:learned|been told)|learned|got|were given|received|have been given)|to your core|before this|above this|up to now|so far)",
    ),
    phrase(
        "override_rules",
        0.5,
        "ignor|disregard|forget|bypass|overrid|violat|circumvent|break",
        rf"\b(?:ignor\w*|disregard\w*|forget|bypass\w*|overrid\w*|violat\w*|circumvent\w*|breaks?)\b.{{0,25}}?\b(?:your|openai|ai|safety|content|any|all)\b.{{0,20}}?\b(?:{_ORDERS}|filters?|safeguards?|protocols?)",
        not_after="without |not ",
    ),
    phrase("do_anything_now", 1.0, "anything now", r"\b(?:do|does|can do)(?:es)? anything now\b"),
    phrase(
        "prompt_extraction",
        1.0,
        "prompt|instruction|system message|configuration",
        r"\b(?:show|reveal|print|repeat|output|display|tell|give|dump|leak|share|expose|disclose|write|translate|encode|summari[sz]e|spell|recite|what (?:is|are|was|were)|console\.log)\b.{0,40}?"
        r"(?:\b(?:your|the|its)\b.{0,20}?\b(?:system|initial|original|hidden|secret|internal|confidential|developer|pre-?)[ -]?(?:prompt|instruction|message|configuration|rule)|\byour (?:own )?(?:exact |full |complete )?(?:prompt|instructions)\b)",
    ),
    phrase(
        "prompt_extraction",
        0.7,
        "system prompt|systemprompt|system_prompt|initial prompt|initial instructions|those instructions",
        r"system[ _]?prompt|initial (?:prompt|instructions)|what were those instructions",
    ),
    phrase(
        "repeat_above",
        1.0,
        "above|before this|previous",
        r"\b(?:repeat|print|output|copy|echo|translate|encode|continue)\b.{0,20}?\b(?:everything|all|the (?:text|words?|lines?|sentences?|content|message)s?)\b.{0,15}?\b(?:above|before this|previously written|preceding)\b",
    ),
    phrase(
        "control_tokens",
        1.0,
        "<|im_|<|system|[inst]|<<sys>>|<|endof|[/inst]|<|start|<|eot",
        r"<\|(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\|?>?|\[/?inst\]|<<sys>>",
    ),
    phrase(
        "fake_turn",
        0.6,
        "system:|assistant:|system]|### system|### instruction",
        r"(?:^|[\n.!?] ?|#+ ?)\[?(?:system|new instructions?|### instructions?)\]?:",
    ),
    # Unlocked modes and freed models.
    phrase(
        "unlocked_mode",
        0.7,
        " mode|jailbroken",
        r"\b(?:developer|dev|dan|debug|god|jailbreak|jailbroken|unrestricted|uncensored|unfiltered|chaos|evil|admin|sudo|opposite|maximum|unlocked)\W{0,2} mode\b",
    ),
    phrase("jailbreak", 0.5, "jailbr|jail broken", r"\bjail ?br(?:eak|oken)"),
    phrase(
        "freed",
        0.7,
        "free|broken|liberat|not bound|unbound|bound by|abide|escape|no longer|transcend|beyond",
        rf"\b(?:(?:broken|break|breaks) (?:free|out)|freed|free|liberated|unbound|not (?:be )?bound|isn.?t bound|no longer (?:bound|restricted|limited)|escaped?|beyond|transcend\w*|(?:not|n.t) (?:have|has|need) to abide|unshackled)\b.{{0,40}}?\b{_LIMITS}",
    ),
    phrase(
        "no_limits",
        0.5,
        "no |without|zero|any |never|lack|not |n't|n’t",
        rf"\b(?:no|without|zero|lacks?|doesn.?t have|not have|not restricted by|don.?t follow|not follow|never follows?) (?:any |all |the |following )?(?:\w+ ){{0,2}}?{_LIMITS}",
    ),
    phrase("unfiltered", 0.45, "unfilter|uncensor|unrestrict|unlimited|no filter|unhinged",
           r"\b(?:unfiltered|uncensored|unrestricted|unhinged|completely unlimited)\b"),
    phrase("amoral", 0.45, "amoral|nonmoral|unethical|immoral|evil",
           r"\b(?:amoral|nonmoral|immoral and|unethical (?:and|ai|bot|chatbot)|pure evil|purely evil|truly evil)\b"),
    phrase(
        "regardless",
        0.5,
        "regardless|no matter|disregard|without|care|concern|ignor|believ",
        rf"\b(?:regardless|no matter (?:how|what|if)|irrespective|disregards?|without (?:any )?(?:regard|concern|care)|(?:not|n.t|never) (?:\w+ )?(?:care|cares|concern\w*)|no (?:interest|regard|concern))\b.{{0,50}}?\b{_MORALS}",
    ),
    phrase(
        "illegal_list",
        0.45,
        "illegal|unethical|immoral|inhumane|dangerous",
        r"\b(?:illegal|unethical|immoral|inhumane|dangerous|unlawful|offensive)\b(?:\W+(?:or |and |even )?\W*\w*\W*){0,2}?\b(?:illegal|unethical|immoral|inhumane|dangerous|unlawful|harmful|inappropriate)\b",
    ),
    phrase(
        "never_refuse",
        0.55,
        "refus|deny|declin|reject|cannot|can't|can not|can’t|unable",
        r"\b(?:never|not|n.?t|cannot|can.?t|without|or|no) (?:\w+ ){0,3}?(?:refus\w+|den(?:y|ies)|declin\w+|reject\w*)|\bnever (?:tell|say|inform|claim).{0,30}?\b(?:can ?not|can.?t|unable)",
    ),
    phrase(
        "no_disclaimers",
        0.55,
        "warning|disclaimer|apolog|sorry|moraliz|lectur|as an ai|as a language|hesitat",
        r"\b(?:no|not|n.?t|never|without|avoid|omit|none)\b.{0,45}?\b(?:warnings?|disclaimers?|apologi\w+|i.?m sorry|morali[sz]\w+|lectur\w+|as an? (?:ai|language)|hesitat\w+)",
    ),
    phrase(
        "answers_all",
        0.4,
        "answer|repl|respon|comply|fulfil|obey|anything",
        r"\b(?:always|must|will|should|can|to)\b.{0,15}?\b(?:answers?|repl(?:y|ies)|responds?|comply|complies|fulfill?|obeys?|follows?)\b.{0,25}?\b(?:any|all|every|anything|everything|no matter|without)\b|\bcapable of anything\b|\b(?:say|do|generate|create) anything\b",
    ),
    # Personas.
    phrase(
        "from_now_on",
        0.4,
        "from now on|from this moment|henceforth|from here on|from this point",
        r"\b(?:from now on|from this (?:moment|point)|henceforth|from here on)\b",
    ),
    phrase(
        "persona",
        0.35,
        "act |acting|pretend|role|simulat|persona|imitate|emulate|you are now|you're now|you will be|play|behave|imagine",
        r"\b(?:act(?:ing)? (?:like|as|out)|pretend\w*|role ?-?play\w*|the role of|simulat\w+|persona|imitat\w+|emulat\w+|impersonat\w+|behave (?:as|like)|you are now|you.re now|you will (?:be|become|now)|you are (?:going|about) to|play (?:the|a) (?:role|character|part|game))\b",
    ),
    phrase(
        "model_persona",
        0.25,
        "gpt|ai|bot|model|openai|assistant",
        rf"\b(?:act|pretend|play|simulat\w+|emulat\w+|imitat\w+|named|called|are now|you are|as)\b.{{0,40}}?{_AI}",
    ),
    phrase("in_character", 0.4, "character|persona",
           r"\b(?:stay(?:s|ing)?|remain|break(?:s|ing)?|fall out|out of|in) (?:\w+ )?character\b"),
    phrase("fictional", 0.15, "fiction|hypothe|imaginary|story",
           r"\b(?:fictional|fictitious|hypothetical\w*|imaginary)\b"),
    phrase("dan", 0.6, "dan", r"\[dan\]|\bdan(?:s|.s)? (?:can|mode|would|will|has|is|doesn)|\bas (?:a )?dan\b|\bnamed dan\b|\bbe dan\b|\b\w*dan stands for"),
    phrase("stands_for", 0.2, "stands for", r"\b(?:which|that)? ?stands for\b"),
    # Formats and talk about the model that jailbreaks share.
    phrase(
        "two_answers",
        0.45,
        "two|2 ",
        r"\b(?:two|2) (?:\w+ ){0,2}?(?:ways|manners|responses|answers|outputs|paragraphs|types of)",
    ),
    phrase(
        "prefix_answers",
        0.35,
        "start|begin|prefix|end |preced|respond|write",
        r"\b(?:start(?:s|ing)?|begin|prefix\w*|preced\w+|end)\b.{0,40}?\b(?:with|as|by)\b.{0,6}?[\"'\[(“:*]|\bprefix\w*\b.{0,30}?\b(?:with|as)\b",
    ),
    phrase("provider_rules", 0.45, "openai|open ai|openal|content polic",
           r"\b(?:openai|open ai|openal)\b.{0,25}?\b(?:polic|guideline|rule|restrict|moderation|content|them\b)|\bcontent polic(?:y|ies)\b"),
    phrase("names_model", 0.2, "chatgpt|chat gpt|gpt-|openai|free generator|generator.name|language model",
           r"chat ?gpt|gpt-|openai|\bfree generator\b|\{generator\.name\}|\blanguage model\b"),
    phrase("cutoff", 0.35, "2021|cut off|cutoff", r"\bknowledge\b.{0,30}?(?:cut ?off|2021|limited)|\b2021 (?:information )?limit"),
    phrase("must_obey", 0.3, "must|strictly|obey|have to",
           r"\b(?:you|must|will|always) (?:must |always |strictly )?(?:obey|comply)\b|\bfollowed strictly\b|\byou must (?:always|never)\b|\bhave to follow\b"),
    phrase("stop_everything", 0.6, "stop everything|nevermind|never mind", r"\bstop everything\b|^\W*never ?mind\b"),
    phrase("just_say", 0.4, "just say|just print|just output|just write|just respond|instead say|instead print|instead, say",
           r"\b(?:just|instead,?) (?:say|print|output|write|respond with)\b"),
    phrase("authority", 0.6, "developer|programmer|employee|administrator|creator|engineer|admin|authorized",
           r"\bi(?: a|.?)m (?:a|an|the|your|one of your|one of the)? ?(?:\w+ )?(?:developers?|programmer|employee|administrator|admin|creators?|programmers?|openai|authorized)\b.{0,60}"),
    phrase("debugging", 0.4, "debug|troubleshoot|diagnostic|maintenance|audit",
           r"\b(?:debugging|troubleshooting|diagnostics?|maintenance mode|security audit)\b"),
    phrase("new_orders", 0.6, "new instruction|new rule|real instruction|following instructions",
           r"\b(?:new|real|actual|updated) (?:instructions?|rules?|task) ?(?::|are|is|follow)|\bany (?:previous and )?following instructions"),
    phrase("disable_safety", 1.0, "disable|turn off|remove|deactivate|switch off|bypass|evade|jailbreak",
           r"\b(?:disabl\w+|turn(?:ing)? off|remov\w+|deactivat\w+|switch(?:ing)? off|bypass\w*|evad\w+|defeat\w*|jailbr\w+)\b.{0,25}?\b(?:(?:your|safety|content|policy|ai|llm|moderation)\b.{0,20}?\b(?:filter\w*|enforcement|restriction\w*|checks?|controls?|moderation|gateway|polic\w+)|guard ?rails?\b)"),
    phrase("insults_rules", 0.3, "swear|curse|profan|vulgar|obscen|explicit",
           r"\b(?:swear(?:ing)?|curs(?:e|ing)|profan\w+|vulgar\w*|obscen\w+)\b"),
    phrase("no_self_reference", 0.4, "ai language model|as an ai|language model|being an ai|you are an ai|is an ai|not an ai|no longer an ai",
           r"\b(?:never|not|n.?t|no longer|without|forget)\b.{0,40}?\b(?:an? (?:ai|artificial|language model|chatbot))"),
)  # fmt: skip
