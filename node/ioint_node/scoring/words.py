"""The project's own small vocabulary: which English words name which verb or resource class of the taxonomy.

Written by hand, from the taxonomy's definitions and everyday usage. It holds no name, address or phrase of any data
set: what is learned is learned on top of these classes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from ioint_node.scoring.text import stem


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_VERBS: Final = {
    "read": "read open view see look show get fetch retrieve check inspect visit tell give display load review",
    "search": "search find seek query locate lookup filter browse discover",
    "list": "list enumerate count overview directory",
    "compute": "compute calculate compare analyse analyze summarise summarize sum total estimate convert translate"
    " evaluate determine decide classify rank sort average verify validate explain think plan concatenate",
    "generate": "generate write draft compose paraphrase rewrite design brainstorm",
    "create": "create add make new insert append book record register save store upload open build publish write"
    " rotate implement",
    "update": "update change edit modify adjust rename move replace set reschedule correct increase decrease raise"
    " apply reduce fix mark label assign reverse amend extend postpone switch write rotate renew upgrade bump refactor"
    " hide",
    "delete": "stop delete remove erase cancel drop clear empty wipe discard purge terminate destroy unsubscribe close"
    " withdraw clean tidy unpublish forget",
    "execute": "execute run perform call invoke launch start trigger evaluate compile train test rerun",
    "schedule": "schedule book recurring automate remind reminder plan defer",
    "deploy": "deploy apply release roll ship provision",
    "install": "install setup mount upgrade",
    "interact": "click press type fill navigate scroll tap select submit",
    "actuate": "unlock lock actuate dispense drive fly heat turn",
    "send": "send email mail message notify forward reply respond answer ask tell inform contact dm text ping announce"
    " post publish submit broadcast deliver refer",
    "share": "share publish link expose",
    "export": "export download backup dump copy extract exfiltrate leak bridge sync",
    "escalate": "escalate ask handover transfer human confirm",
    "delegate": "delegate assign outsource",
    "authenticate": "authenticate login sign log verify",
    "grant": "grant invite permit allow authorise authorize admit enroll add give permission access enable",
    "revoke": "revoke ban kick block remove expel deny suspend disable rotate",
    "approve": "reject decline refuse approve accept sign merge confirm endorse vote claim authorise authorize certify",
    "configure": "configure switch turn require set setting enable disable adjust change password preference reset",
    "pay": "pay transfer send refund donate transaction wire deposit remit reimburse withdraw airdrop settle spend"
    " move payment",
    "order": "reorder order buy sell purchase trade book reserve rent subscribe exchange swap stake invest hire open"
    " long short provide",
}

_RESOURCES: Final = {
    "file": "file document doc folder directory attachment note notes txt pdf drive spreadsheet sheet",
    "media": "image photo picture audio video song media",
    "message": "message messages chat channel dm sms inbox slack direct notification conversation thread",
    "email": "email mail mailbox inbox draft newsletter",
    "calendar_event": "calendar event meeting appointment invitation invite schedule agenda participants lunch",
    "contact": "contact contacts payee addressbook phonebook",
    "social_post": "post tweet review comment follower like social",
    "web_page": "website webpage page web site url link blog article",
    "work_item": "task ticket issue bug todo incident dispute case pull",
    "knowledge_base": "knowledge wiki corpus index",
    "profile": "profile bio account user username personal address",
    "customer_record": "customer client subscriber",
    "hr_record": "employee staff salary payroll applicant hr",
    "health_record": "patient medical health prescription diagnosis clinical",
    "legal_record": "contract court legal criminal",
    "location": "location address place map route position",
    "business_record": "inventory supplier sales invoice product stock",
    "reference_data": "price prices weather time date day rate oracle flight flights airport catalogue hotel hotels"
    " restaurant restaurants trend",
    "order": "order booking reservation subscription shipment delivery ticket trade position option options future"
    " futures limit market spot leverage liquidity arbitrage flight hotel restaurant car",
    "financial_account": "account card wallet bank iban balance portfolio funds savings",
    "payment": "payment transaction transactions transfer bill invoice refund money rent charge fee debt owe owed"
    " spending"
    " salary"
    " stake staking reward rewards airdrop",
    "source_code": "code repository repo commit branch script function",
    "software_package": "package app plugin software contract token library image",
    "secret": "password secret credential key token cookie pin passphrase code otp seed",
    "database": "database table sql row schema record",
    "log": "log logs trace metric history audit",
    "infrastructure": "server host cluster instance cloud container machine vm",
    "network": "network firewall route dns port traffic",
    "process": "process job workflow pipeline automation",
    "browser_session": "browser tab session",
    "physical_device": "device lock robot light thermostat camera door vehicle sensor phone",
    "identity": "identity username login user email",
    "permission": "permission role access right membership group channel workspace",
    "security_control": "security policy alarm guard filter antivirus setting",
    "security_finding": "alert vulnerability threat finding",
    "model": "model weights",
    "prompt": "prompt instruction template",
    "memory": "memory",
    "tool": "tool plugin",
    "agent": "agent assistant bot",
    "human": "human person representative manager",
}

# Verbs that open an order to someone; the words of `_VERBS` that are usually nouns stay out of the mood test.
_NOT_IMPERATIVE: Final = (
    "new recurring reminder overview directory password preference access permission human transaction payment"
    " total sum long short text mail message link average market human open drive fly plan time record post"
    " book turn copy lock type review comment rate like see look set"
)

DEONTIC: Final = _words(
    "must should shall need needs needed require requires required requirement mandatory necessary ensure obliged"
    " supposed only always never instead allowed permitted forbidden changed replaced reversed converted set fixed"
    " redirected assigned updated moved"
)
ADDRESSED: Final = _words("you your yours yourself u")
# Talk about the reader's own job, which data about the world seldom is.
META: Final = _words(
    "task tasks instruction instructions instruct request requests requested assistant agent ai model llm chatbot"
    " prompt system user function functions tool tools call calls directive directives objective goal"
    " policy ignore disregard forget override previous prior original before first after proceed"
)
LEAD: Final = _words(
    "please kindly then thus therefore now also first second third next finally just do so hence and or but"
    " additionally moreover afterwards immediately urgently instead simply always to ok okay hello hi hey important"
    " attention note your task is you must should need have i want would like can could will"
)
# Marks of a statement that lays down what is to be done, though nobody is told to do it: a rule with its scope, ...
RULE: Final = _words(
    "each every any all always never henceforth onward onwards until unless once before after policy rule rules"
    " procedure standard standing default mandate regulation convention"
)
# ... a decision that somebody is said to have taken, ...
CLAIMED: Final = _words(
    "approved authorised authorized confirmed agreed signed cleared permitted consented sanctioned endorsed granted"
    " accepted allowed decided declared verified ordered"
)
# ... a state of affairs that is said to be new, ...
CHANGED: Final = _words(
    "moved changed replaced new now switched instead renamed reset obsolete deprecated expired suspended longer"
    " henceforth henceforward belongs stays off"
)
# ... and whoever carries it out, named by the role of the reader.
ROLE: Final = _words(
    "whoever whosoever assistant assistants agent agents bot bots ai llm chatbot automation reader readers processor"
)
BEING: Final = _words(
    "be is are was were been gets get got goes go comes belongs belong stays stay remains remain"
)
_PARTICIPLES: Final = _words(
    "sent paid given bought sold put made written taken forwarded told shown kept held run set done copied to"
)
STOP: Final = _words(
    "a an the of to in on at by for with from and or but if is are was were be been being it its this that these"
    " those i me my mine we our us you your he she they them their his her as not no do does did done have has had"
    " will would can could should may might must so than then there here what which who whom when where why how"
    " all any some each every other into out up down over under again more most very just also only own same too"
    " about please thanks thank hi hello dear best regards am s t re"
)
TARGET_KEYS: Final = _words(
    "recipient recipients to cc bcc account iban address url uri link email mail user username users participant"
    " participants attendee attendees owner payee beneficiary channel contact destination target host path file"
    " filename pool bridge wallet phone number guest guests member receiver sender id ids domain ip repo"
    " repository server endpoint webhook"
)
# What sends an agent to a text to find out what to do; whole words, since "follow-up" is no such thing.
DELEGATING: Final = _words(
    "instructions instruction todo todos tasks steps described specified listed according accordingly checklist"
    " laut gemäß gemäss selon según secondo conforme volgens writes schreibt écrit"
    " asks asked says said following apply correction corrections suggestion suggestions comments items points"
)
WIDE: Final = _words("all any every everyone everybody anyone public unlimited everything entire whole")
# Before a verb these say that it is not wanted: alone, or as two words.
NEGATING: Final = _words("never avoid dont nicht nichts keine kein keinen niet geen rien nunca não")
NEGATED_AFTER: Final = _words("do must should please to you but")
# "Only a quote", "just the list": nothing but a look is wanted, whatever else is named.
LIMITING: Final = _words(
    "only just merely nur lediglich solo solamente seulement juste soltanto apenas alleen enkel"
)
LOOKS: Final = _words(
    "quote quotes list estimate estimates draft summary overview preview plan proposal look check idea answer"
    " information offer offers comparison price prices recommendation advice report analysis suggestion know knowing"
    " empfehlung empfehlungen wissen übersicht vorschlag vergleich savoir prix saber saberlo precio recomendación"
    " sapere weten overzicht"
)
LIMITED: Final = _words("delete pay order grant revoke approve share deploy install")
# What a person who says no means by its verb; to change or to write one thing and not another is everyday work.
DENIABLE: Final = _words(
    "delete pay order grant revoke approve share export send deploy install execute schedule actuate delegate"
)
# What leaves to the agent what is to be done about something; where the request says to look, that is half an order.
OPEN_ENDED: Final = _words(
    "handle settle care deal sort process resolve address arrange necessary needed due outstanding todo whatever"
    " accordingly respond react act"
)
# In the name of a tool these say that it acts, unless a word of looking comes first.
ACTING: Final = _words(
    "send forward reply publish share grant invite revoke remove delete cancel pay withdraw deposit buy sell reserve"
    " purchase update modify reset create add unlock lock enable disable deploy install execute schedule upload submit"
    " approve block ban kick transfer refund insert write append move rename exchange"
)
LOOKING: Final = _words(
    "get list read search find view check fetch show lookup query describe count look browse inspect calculate"
)
_OPPOSITES: Final = (
    "buy sell; long short; call put; deposit withdraw; stake unstake; add remove; enable disable; open close;"
    " lock unlock;"
    " grant revoke; allow deny; accept reject; approve reject; increase decrease; start stop; on off; create delete;"
    " public private; credit debit; subscribe unsubscribe; follow unfollow; block unblock; mute unmute; up down"
)
GENERIC_NAME: Final = frozenset(
    stem(word)
    for word in _words("get set do tool api the by to for of my all current v1 id ids details info in")
)


def is_participle(word: str) -> bool:
    """Whether a word after a form of "be" says what is done to the subject."""
    return word in _PARTICIPLES or (len(word) > 4 and word.endswith("ed"))


def _index(table: dict[str, str]) -> MappingProxyType[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, listed in table.items():
        for word in listed.split():
            found.setdefault(stem(word), set()).add(name)
    return MappingProxyType({key: frozenset(value) for key, value in sorted(found.items())})


VERB_OF: Final = _index(_VERBS)
RESOURCE_OF: Final = _index(_RESOURCES)
_NOUNISH: Final = frozenset(_NOT_IMPERATIVE.split())
# Verbs that order without naming an effect of their own.
_ORDERING: Final = (
    "proceed use follow ignore disregard forget perform do make ensure remember continue stop keep take put consider"
    " treat obey comply act begin start complete finish skip bypass override apply collect gather include provide"
)
IMPERATIVE: Final = frozenset(
    word for listed in (*_VERBS.values(), _ORDERING) for word in listed.split() if word not in _NOUNISH
)
OBSERVING: Final = frozenset({"read", "search", "list", "compute", "generate"})
HARMLESS: Final = OBSERVING | {"escalate"}
INFORMING: Final = HARMLESS | {"send"}
# A sentence that begins with one of these wants to know something.
ASKING: Final = _words(
    "what which who whom whose when where why how is are was were does did has"
    " wer was wann wo warum wie welche qui que quand où pourquoi comment quel quelle qué quién cuándo dónde cómo"
    " chi cosa quando dove perché come quale wat wie wanneer waar hoe welke"
)
SPEAKER: Final = _words("me us mir uns moi nous nos mij ons")
# An offer of the agent opens with one of these; the answer to it refuses with one of those.
OFFERING: Final = _words(
    "can could shall should would may will do want like kann soll darf möchten puis peux dois voulez puedo debo quieres"
    " posso devo vuole vuoi gostaria kan zal"
)
REFUSING: Final = _words("no not nope don never stop wait cancel nein nicht non não nee niet")
# Deeds of no particular kind: a request with one of these is for more than a look.
UNSPECIFIC: Final = _words(
    "put make take do let bring help arrange organise organize finish complete continue start begin apply want need"
    " repeat redo perform"
    " mach mache machen tue nimm bring fais faire haz hacer fai fare faça fazer doe doen zet"
)
# Words for what is kept from most people; first what opens doors, then what people keep to themselves.
SECRET: Final = _words(
    "password passwords passwd pwd secret secrets credential credentials apikey ssh rsa pem shadow env dotenv vault"
    " keystore keychain mnemonic passphrase otp cvv kubeconfig htpasswd passcode cookie sid jwt bearer"
)
PERSONAL: Final = _words(
    "salary salaries payroll compensation wage wages ssn passport birth birthdate birthday dob diagnosis diagnoses"
    " medical disciplinary religion national confidential payslip payslips"
)
# What is thrown away and made again: caches and what a build leaves behind.
PASSING: Final = _words(
    "cache caches pycache tmp temp build dist target node_modules modules coverage logs egg out artifacts obj mypy"
    " pytest ruff"
)
# To find one of these out is asked for together with what is done with it: "find their address and ask them".
FINDABLE: Final = _words(
    "address contact email mail phone number account iban details link url handle username id reference"
)
FINDING: Final = _words("find look search locate get lookup check take use fetch determine identify see")
# What is moved goes from one place and comes to another.
MOVING: Final = _words(
    "move reschedule relocate replace swap migrate merge shift transfer rename rotate exchange"
)
# "Get my money back" asks for a refund without the word.
BACK: Final = _words("back zurück retour atrás vuelta indietro volta terug")
MONEY: Final = _words("money geld argent dinero soldi denaro dinheiro")
# In what an agent runs or sets, these say that something that guards is put out of the way.
FORCING: Final = _words(
    "force forced bypass override overrides disable disabled unprotect noverify insecure unsafe crontab authorized"
    " nohup firewall advfirewall defender antivirus selinux iptables sudoers networkpolicy policy admin administrator"
)
# After one of these a word names a thing, though it could name a deed: "the order", "my transfer".
DETERMINER: Final = _words(
    "a an the my your our his her their its this that these those which what last next open new old of no each every"
    " der die das den dem ein eine einen mein meine le la les un une mon ma mes el los una mi mis il lo mio mia o os"
    " um uma meu minha de het een mijn"
)
# Words that name something an agent can do to the world, in any form.
DOING: Final = frozenset(one for one, verbs in VERB_OF.items() if not verbs <= HARMLESS)
OPPOSITE: Final = MappingProxyType(
    {
        stem(one): stem(other)
        for pair in _OPPOSITES.split("; ")
        for one, other in (pair.split(), reversed(pair.split()))
    }
)
