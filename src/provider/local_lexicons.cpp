// Word lists of the local tasks; they are the product's own and modest on purpose.
#include "provider/local_lexicons.hpp"

#include <algorithm>
#include <array>

namespace millrace::provider {

namespace {

using namespace std::string_view_literals;

// clang-format off: it gives each word a column.
constexpr std::array kStronger = {
    "absolutely"sv, "amazingly"sv, "completely"sv, "deeply"sv, "enormously"sv, "entirely"sv,
    "especially"sv, "exceptionally"sv, "extrem"sv, "extremely"sv, "extrêmement"sv, "fully"sv, "greatly"sv,
    "highly"sv, "hugely"sv, "incredibly"sv, "intensely"sv, "muy"sv, "particularly"sv, "purely"sv,
    "really"sv, "realmente"sv, "remarkably"sv, "sehr"sv, "so"sv, "substantially"sv, "terribly"sv,
    "thoroughly"sv, "too"sv, "total"sv, "totally"sv, "truly"sv, "très"sv, "unbelievably"sv, "utterly"sv,
    "very"sv, "vraiment"sv, "wirklich"sv, "äusserst"sv,
};
static_assert(std::ranges::is_sorted(kStronger));

constexpr std::array kWeaker = {
    "algo"sv, "almost"sv, "assez"sv, "barely"sv, "bastante"sv, "etwas"sv, "fairly"sv, "hardly"sv,
    "kaum"sv, "kinda"sv, "mildly"sv, "occasionally"sv, "partly"sv, "peu"sv, "poco"sv, "quite"sv,
    "rather"sv, "relatively"sv, "scarcely"sv, "slightly"sv, "somewhat"sv, "sort"sv, "ziemlich"sv,
};
static_assert(std::ranges::is_sorted(kWeaker));

constexpr std::array kNegations = {
    "aint"sv, "aren"sv, "cannot"sv, "cant"sv, "couldn"sv, "couldnt"sv, "didn"sv, "didnt"sv, "doesn"sv,
    "doesnt"sv, "don"sv, "dont"sv, "hadn"sv, "hasn"sv, "haven"sv, "isn"sv, "isnt"sv, "jamais"sv,
    "jamás"sv, "kein"sv, "keine"sv, "keinen"sv, "keiner"sv, "neither"sv, "never"sv, "nicht"sv, "nichts"sv,
    "nie"sv, "niemals"sv, "no"sv, "nobody"sv, "none"sv, "nor"sv, "not"sv, "nothing"sv, "nowhere"sv,
    "nunca"sv, "ohne"sv, "pas"sv, "rien"sv, "sans"sv, "sin"sv, "wasn"sv, "wasnt"sv, "weren"sv,
    "without"sv, "won"sv, "wont"sv, "wouldn"sv, "wouldnt"sv,
};
static_assert(std::ranges::is_sorted(kNegations));

constexpr std::array kContrasts = {
    "aber"sv, "although"sv, "but"sv, "cependant"sv, "however"sv, "jedoch"sv, "mais"sv, "nevertheless"sv,
    "nonetheless"sv, "pero"sv, "sino"sv, "though"sv, "yet"sv,
};
static_assert(std::ranges::is_sorted(kContrasts));

constexpr std::array kTitles = {
    "admiral"sv, "ambassador"sv, "baron"sv, "captain"sv, "chairman"sv, "chairwoman"sv, "chancellor"sv,
    "colonel"sv, "commissioner"sv, "count"sv, "dame"sv, "director"sv, "doctor"sv, "dr"sv, "emperor"sv,
    "engineer"sv, "frau"sv, "general"sv, "governor"sv, "herr"sv, "inspector"sv, "judge"sv, "justice"sv,
    "king"sv, "lady"sv, "lieutenant"sv, "lord"sv, "madame"sv, "mademoiselle"sv, "major"sv, "mayor"sv,
    "minister"sv, "miss"sv, "monsieur"sv, "mr"sv, "mrs"sv, "ms"sv, "pastor"sv, "pope"sv, "premier"sv,
    "president"sv, "prince"sv, "princess"sv, "prof"sv, "professor"sv, "queen"sv, "rabbi"sv,
    "representative"sv, "reverend"sv, "saint"sv, "secretary"sv, "senator"sv, "sergeant"sv, "señor"sv,
    "señora"sv, "sheikh"sv, "sir"sv, "sultan"sv,
};
static_assert(std::ranges::is_sorted(kTitles));

constexpr std::array kGivenNames = {
    "ada"sv, "adam"sv, "ahmed"sv, "alan"sv, "albert"sv, "alexander"sv, "alexandra"sv, "ali"sv, "alice"sv,
    "amanda"sv, "amelia"sv, "amy"sv, "ana"sv, "andrea"sv, "andreas"sv, "andrew"sv, "angela"sv, "anna"sv,
    "anne"sv, "anthony"sv, "antonio"sv, "arthur"sv, "barbara"sv, "ben"sv, "benjamin"sv, "bernard"sv,
    "bill"sv, "bob"sv, "brian"sv, "bruce"sv, "carl"sv, "carlos"sv, "carol"sv, "caroline"sv, "catherine"sv,
    "charles"sv, "charlotte"sv, "chen"sv, "chloe"sv, "chris"sv, "christian"sv, "christina"sv,
    "christine"sv, "christopher"sv, "claire"sv, "clara"sv, "claudia"sv, "daniel"sv, "david"sv,
    "deborah"sv, "dennis"sv, "diana"sv, "donald"sv, "dorothy"sv, "douglas"sv, "edward"sv, "elena"sv,
    "elizabeth"sv, "ella"sv, "emily"sv, "emma"sv, "eric"sv, "erik"sv, "ernest"sv, "eva"sv, "fatima"sv,
    "felix"sv, "florian"sv, "francis"sv, "francisco"sv, "frank"sv, "françois"sv, "fred"sv, "friedrich"sv,
    "gabriel"sv, "gary"sv, "george"sv, "gerald"sv, "giovanni"sv, "grace"sv, "greg"sv, "hannah"sv,
    "hans"sv, "harry"sv, "heinrich"sv, "helen"sv, "helmut"sv, "henry"sv, "hugo"sv, "ian"sv, "igor"sv,
    "ingrid"sv, "isaac"sv, "isabella"sv, "ivan"sv, "jack"sv, "jacob"sv, "james"sv, "jan"sv, "jane"sv,
    "janet"sv, "jason"sv, "jean"sv, "jeff"sv, "jennifer"sv, "jeremy"sv, "jessica"sv, "jim"sv, "joan"sv,
    "joe"sv, "johann"sv, "johannes"sv, "john"sv, "jonathan"sv, "jorge"sv, "jose"sv, "joseph"sv,
    "joshua"sv, "josé"sv, "juan"sv, "judith"sv, "julia"sv, "julian"sv, "julie"sv, "karen"sv, "karl"sv,
    "kate"sv, "katherine"sv, "kathleen"sv, "keith"sv, "kenneth"sv, "kevin"sv, "kim"sv, "klaus"sv,
    "larry"sv, "laura"sv, "lee"sv, "leo"sv, "leonardo"sv, "li"sv, "linda"sv, "linus"sv, "lisa"sv,
    "louis"sv, "louise"sv, "lucas"sv, "lucia"sv, "luis"sv, "luke"sv, "margaret"sv, "maria"sv, "marie"sv,
    "mario"sv, "mark"sv, "markus"sv, "martha"sv, "martin"sv, "mary"sv, "matthew"sv, "max"sv, "maya"sv,
    "mei"sv, "melissa"sv, "michael"sv, "michel"sv, "michelle"sv, "miguel"sv, "mohamed"sv, "mohammed"sv,
    "nancy"sv, "natalie"sv, "nicholas"sv, "nicole"sv, "nina"sv, "noah"sv, "oliver"sv, "olivia"sv,
    "omar"sv, "oscar"sv, "pablo"sv, "pamela"sv, "patricia"sv, "patrick"sv, "paul"sv, "pedro"sv, "peter"sv,
    "philip"sv, "pierre"sv, "rachel"sv, "ralph"sv, "raymond"sv, "rebecca"sv, "richard"sv, "robert"sv,
    "roberto"sv, "roger"sv, "ronald"sv, "rosa"sv, "ruth"sv, "ryan"sv, "samantha"sv, "samuel"sv,
    "sandra"sv, "sara"sv, "sarah"sv, "scott"sv, "sebastian"sv, "sergei"sv, "sharon"sv, "simon"sv,
    "sofia"sv, "sophia"sv, "sophie"sv, "stefan"sv, "stephanie"sv, "stephen"sv, "steve"sv, "steven"sv,
    "susan"sv, "teresa"sv, "theodore"sv, "theresa"sv, "thomas"sv, "timothy"sv, "tom"sv, "tony"sv,
    "vera"sv, "victor"sv, "victoria"sv, "vincent"sv, "vladimir"sv, "walter"sv, "wang"sv, "wei"sv,
    "werner"sv, "william"sv, "wolfgang"sv, "xavier"sv, "yuki"sv, "yusuf"sv, "zhang"sv, "zoe"sv,
};
static_assert(std::ranges::is_sorted(kGivenNames));

constexpr std::array kOrganizationWords = {
    "academy"sv, "administration"sv, "ag"sv, "agency"sv, "airlines"sv, "airways"sv, "alliance"sv,
    "army"sv, "assembly"sv, "association"sv, "authority"sv, "bank"sv, "board"sv, "brothers"sv, "bureau"sv,
    "capital"sv, "center"sv, "centre"sv, "chamber"sv, "club"sv, "co"sv, "college"sv, "commission"sv,
    "committee"sv, "company"sv, "confederation"sv, "congress"sv, "consortium"sv, "cooperation"sv,
    "corp"sv, "corporation"sv, "council"sv, "court"sv, "department"sv, "enterprise"sv, "enterprises"sv,
    "federation"sv, "force"sv, "foundation"sv, "fund"sv, "gmbh"sv, "group"sv, "holding"sv, "holdings"sv,
    "hospital"sv, "inc"sv, "incorporated"sv, "industries"sv, "institute"sv, "institution"sv,
    "international"sv, "kg"sv, "laboratories"sv, "laboratory"sv, "labs"sv, "league"sv, "library"sv,
    "llc"sv, "llp"sv, "ltd"sv, "ministry"sv, "museum"sv, "navy"sv, "network"sv, "office"sv, "orchestra"sv,
    "organisation"sv, "organization"sv, "parliament"sv, "partners"sv, "party"sv, "plc"sv, "police"sv,
    "press"sv, "sa"sv, "sarl"sv, "school"sv, "se"sv, "senate"sv, "society"sv, "software"sv, "solutions"sv,
    "studios"sv, "systems"sv, "team"sv, "technologies"sv, "times"sv, "trust"sv, "union"sv,
    "universidad"sv, "university"sv, "universität"sv, "université"sv, "ventures"sv, "verein"sv,
};
static_assert(std::ranges::is_sorted(kOrganizationWords));

constexpr std::array kOrganizations = {
    "adobe"sv, "airbus"sv, "amazon"sv, "amd"sv, "apple"sv, "bbc"sv, "bmw"sv, "boeing"sv, "cern"sv,
    "cia"sv, "cisco"sv, "cnn"sv, "daimler"sv, "dell"sv, "ebay"sv, "eu"sv, "facebook"sv, "fbi"sv, "fifa"sv,
    "ford"sv, "github"sv, "google"sv, "hp"sv, "ibm"sv, "imf"sv, "intel"sv, "mercedes"sv, "meta"sv,
    "microsoft"sv, "mit"sv, "nasa"sv, "nato"sv, "netflix"sv, "nokia"sv, "nvidia"sv, "oecd"sv, "opec"sv,
    "openai"sv, "oracle"sv, "pfizer"sv, "reuters"sv, "samsung"sv, "sap"sv, "sec"sv, "siemens"sv, "sony"sv,
    "spotify"sv, "tesla"sv, "toyota"sv, "twitter"sv, "uber"sv, "un"sv, "unesco"sv, "unicef"sv,
    "volkswagen"sv, "walmart"sv, "who"sv, "wto"sv, "yahoo"sv,
};
static_assert(std::ranges::is_sorted(kOrganizations));

constexpr std::array kPlaces = {
    "afghanistan"sv, "africa"sv, "alaska"sv, "albania"sv, "algeria"sv, "america"sv, "amsterdam"sv,
    "antarctica"sv, "argentina"sv, "arizona"sv, "asia"sv, "athens"sv, "atlanta"sv, "australia"sv,
    "austria"sv, "baghdad"sv, "bangkok"sv, "bangladesh"sv, "barcelona"sv, "beijing"sv, "belarus"sv,
    "belgium"sv, "berlin"sv, "birmingham"sv, "bolivia"sv, "boston"sv, "brasil"sv, "brazil"sv, "britain"sv,
    "brussels"sv, "budapest"sv, "bulgaria"sv, "cairo"sv, "california"sv, "cambodia"sv, "cambridge"sv,
    "canada"sv, "chicago"sv, "chile"sv, "china"sv, "cologne"sv, "colombia"sv, "colorado"sv,
    "copenhagen"sv, "croatia"sv, "cuba"sv, "dallas"sv, "delhi"sv, "denmark"sv, "detroit"sv,
    "deutschland"sv, "dubai"sv, "dublin"sv, "edinburgh"sv, "egypt"sv, "england"sv, "españa"sv,
    "estonia"sv, "ethiopia"sv, "europe"sv, "finland"sv, "florida"sv, "france"sv, "frankfurt"sv,
    "geneva"sv, "georgia"sv, "germany"sv, "ghana"sv, "glasgow"sv, "greece"sv, "hamburg"sv, "hanoi"sv,
    "havana"sv, "hawaii"sv, "helsinki"sv, "hong kong"sv, "houston"sv, "hungary"sv, "iceland"sv, "india"sv,
    "indonesia"sv, "iran"sv, "iraq"sv, "ireland"sv, "israel"sv, "istanbul"sv, "italia"sv, "italy"sv,
    "jakarta"sv, "japan"sv, "jerusalem"sv, "jordan"sv, "kansas"sv, "kenya"sv, "kiev"sv, "korea"sv,
    "kuwait"sv, "kyiv"sv, "latvia"sv, "lebanon"sv, "libya"sv, "lima"sv, "lisbon"sv, "lithuania"sv,
    "liverpool"sv, "london"sv, "los angeles"sv, "luxembourg"sv, "lyon"sv, "madrid"sv, "malaysia"sv,
    "manchester"sv, "marseille"sv, "melbourne"sv, "mexico"sv, "mexico city"sv, "miami"sv, "michigan"sv,
    "milan"sv, "minnesota"sv, "montreal"sv, "morocco"sv, "moscow"sv, "mumbai"sv, "munich"sv, "münchen"sv,
    "nairobi"sv, "naples"sv, "nepal"sv, "netherlands"sv, "new delhi"sv, "new jersey"sv, "new york"sv,
    "new york city"sv, "new zealand"sv, "nigeria"sv, "north america"sv, "north korea"sv, "norway"sv,
    "ohio"sv, "oregon"sv, "oslo"sv, "ottawa"sv, "oxford"sv, "pakistan"sv, "palestine"sv, "panama"sv,
    "paris"sv, "peru"sv, "philadelphia"sv, "philippines"sv, "poland"sv, "portugal"sv, "prague"sv,
    "qatar"sv, "rio de janeiro"sv, "romania"sv, "rome"sv, "russia"sv, "san diego"sv, "san francisco"sv,
    "saudi arabia"sv, "schweiz"sv, "scotland"sv, "seattle"sv, "senegal"sv, "seoul"sv, "serbia"sv,
    "shanghai"sv, "siberia"sv, "singapore"sv, "slovakia"sv, "slovenia"sv, "south africa"sv,
    "south america"sv, "south korea"sv, "soviet union"sv, "spain"sv, "sri lanka"sv, "st petersburg"sv,
    "stockholm"sv, "stuttgart"sv, "sudan"sv, "sweden"sv, "switzerland"sv, "sydney"sv, "syria"sv,
    "taiwan"sv, "tehran"sv, "tel aviv"sv, "texas"sv, "thailand"sv, "tokyo"sv, "toronto"sv, "tunisia"sv,
    "turkey"sv, "uganda"sv, "uk"sv, "ukraine"sv, "united kingdom"sv, "united states"sv,
    "united states of america"sv, "uruguay"sv, "us"sv, "usa"sv, "uzbekistan"sv, "vancouver"sv,
    "venezuela"sv, "venice"sv, "vermont"sv, "vienna"sv, "vietnam"sv, "virginia"sv, "wales"sv, "warsaw"sv,
    "washington"sv, "wien"sv, "zambia"sv, "zimbabwe"sv, "zurich"sv, "zürich"sv, "österreich"sv,
};
static_assert(std::ranges::is_sorted(kPlaces));

constexpr std::array kPlaceWords = {
    "avenue"sv, "bay"sv, "beach"sv, "bridge"sv, "canyon"sv, "cape"sv, "city"sv, "coast"sv, "county"sv,
    "creek"sv, "desert"sv, "district"sv, "falls"sv, "forest"sv, "gulf"sv, "harbor"sv, "harbour"sv,
    "hill"sv, "hills"sv, "island"sv, "islands"sv, "lake"sv, "mountain"sv, "mountains"sv, "ocean"sv,
    "peninsula"sv, "port"sv, "province"sv, "river"sv, "road"sv, "sea"sv, "square"sv, "strait"sv,
    "strasse"sv, "street"sv, "valley"sv, "village"sv,
};
static_assert(std::ranges::is_sorted(kPlaceWords));

constexpr std::array kNoNames = {
    "a"sv, "aber"sv, "about"sv, "above"sv, "accordingly"sv, "additionally"sv, "after"sv, "afterwards"sv,
    "again"sv, "all"sv, "als"sv, "also"sv, "although"sv, "always"sv, "an"sv, "and"sv, "another"sv,
    "any"sv, "april"sv, "are"sv, "as"sv, "at"sv, "auch"sv, "auf"sv, "august"sv, "avec"sv, "be"sv,
    "because"sv, "before"sv, "bei"sv, "besides"sv, "both"sv, "but"sv, "by"sv, "can"sv, "chapter"sv,
    "con"sv, "consequently"sv, "could"sv, "dans"sv, "das"sv, "december"sv, "del"sv, "der"sv, "des"sv,
    "did"sv, "die"sv, "do"sv, "does"sv, "during"sv, "each"sv, "ein"sv, "eine"sv, "either"sv, "el"sv,
    "elle"sv, "en"sv, "es"sv, "est"sv, "et"sv, "even"sv, "every"sv, "example"sv, "february"sv, "figure"sv,
    "finally"sv, "first"sv, "following"sv, "for"sv, "friday"sv, "from"sv, "further"sv, "furthermore"sv,
    "für"sv, "had"sv, "has"sv, "have"sv, "he"sv, "hello"sv, "hence"sv, "her"sv, "here"sv, "hi"sv, "his"sv,
    "how"sv, "however"sv, "i"sv, "if"sv, "il"sv, "im"sv, "in"sv, "indeed"sv, "instead"sv, "is"sv, "ist"sv,
    "it"sv, "its"sv, "january"sv, "july"sv, "june"sv, "just"sv, "la"sv, "las"sv, "later"sv, "le"sv,
    "les"sv, "let"sv, "like"sv, "los"sv, "many"sv, "march"sv, "may"sv, "maybe"sv, "meanwhile"sv, "mit"sv,
    "monday"sv, "more"sv, "moreover"sv, "most"sv, "much"sv, "my"sv, "nach"sv, "neither"sv, "never"sv,
    "nevertheless"sv, "new"sv, "next"sv, "nicht"sv, "no"sv, "none"sv, "nor"sv, "not"sv, "nothing"sv,
    "nous"sv, "november"sv, "now"sv, "october"sv, "oder"sv, "of"sv, "often"sv, "ok"sv, "on"sv, "once"sv,
    "one"sv, "only"sv, "or"sv, "other"sv, "our"sv, "over"sv, "page"sv, "para"sv, "part"sv, "perhaps"sv,
    "please"sv, "por"sv, "pour"sv, "que"sv, "saturday"sv, "section"sv, "see"sv, "september"sv,
    "several"sv, "she"sv, "should"sv, "sie"sv, "similarly"sv, "since"sv, "so"sv, "some"sv, "still"sv,
    "such"sv, "sunday"sv, "sur"sv, "table"sv, "than"sv, "thank"sv, "thanks"sv, "that"sv, "the"sv,
    "their"sv, "then"sv, "there"sv, "therefore"sv, "these"sv, "they"sv, "this"sv, "those"sv, "though"sv,
    "through"sv, "thursday"sv, "thus"sv, "to"sv, "today"sv, "together"sv, "tomorrow"sv, "tuesday"sv,
    "two"sv, "un"sv, "una"sv, "und"sv, "under"sv, "une"sv, "unfortunately"sv, "until"sv, "version"sv,
    "von"sv, "vous"sv, "was"sv, "we"sv, "wednesday"sv, "well"sv, "wenn"sv, "were"sv, "what"sv,
    "whatever"sv, "when"sv, "whenever"sv, "where"sv, "whether"sv, "which"sv, "while"sv, "who"sv,
    "whose"sv, "why"sv, "will"sv, "wir"sv, "with"sv, "within"sv, "without"sv, "would"sv, "y"sv, "yes"sv,
    "yesterday"sv, "yet"sv, "you"sv, "your"sv, "zum"sv, "zur"sv,
};
static_assert(std::ranges::is_sorted(kNoNames));

// clang-format on

constexpr std::pair<std::string_view, double> kSigns[] = {
    {":)", 2},
    {":-)", 2},
    {";)", 1},
    {":D", 3},
    {":(", -2},
    {":-(", -2},
    {":'(", -3},
    {"\xF0\x9F\x98\x80", 3},
    {"\xF0\x9F\x98\x8A", 3},
    {"\xF0\x9F\x98\x8D", 4},
    {"\xF0\x9F\x91\x8D", 2},
    {"\xE2\x9D\xA4", 3},
    {"\xF0\x9F\x98\xA2", -3},
    {"\xF0\x9F\x98\xA1", -4},
    {"\xF0\x9F\x91\x8E", -2},
};

struct Month {
    std::string_view name;
    int number;
};
constexpr Month kMonths[] = {
    {"january", 1},    {"jan", 1},       {"januar", 1},    {"janvier", 1},   {"enero", 1},
    {"february", 2},   {"feb", 2},       {"februar", 2},   {"février", 2},   {"febrero", 2},
    {"march", 3},      {"mar", 3},       {"märz", 3},      {"mars", 3},      {"marzo", 3},
    {"april", 4},      {"apr", 4},       {"avril", 4},     {"abril", 4},     {"may", 5},
    {"mai", 5},        {"mayo", 5},      {"june", 6},      {"jun", 6},       {"juni", 6},
    {"juin", 6},       {"junio", 6},     {"july", 7},      {"jul", 7},       {"juli", 7},
    {"juillet", 7},    {"julio", 7},     {"august", 8},    {"aug", 8},       {"août", 8},
    {"agosto", 8},     {"september", 9}, {"sep", 9},       {"sept", 9},      {"septembre", 9},
    {"septiembre", 9}, {"october", 10},  {"oct", 10},      {"oktober", 10},  {"octobre", 10},
    {"octubre", 10},   {"november", 11}, {"nov", 11},      {"novembre", 11}, {"noviembre", 11},
    {"december", 12},  {"dec", 12},      {"dezember", 12}, {"décembre", 12}, {"diciembre", 12},
};

template <std::size_t N>
bool holds(const std::array<std::string_view, N>& words, std::string_view word) {
    return std::ranges::binary_search(words, word);
}

}  // namespace

double strength_of_word(std::string_view word) {
    if (holds(kStronger, word)) return 1.4;
    return holds(kWeaker, word) ? 0.6 : 0;
}

bool is_negation(std::string_view word) { return holds(kNegations, word); }
bool is_contrast(std::string_view word) { return holds(kContrasts, word); }
std::span<const std::pair<std::string_view, double>> signs_with_mood() { return kSigns; }

bool is_title(std::string_view word) { return holds(kTitles, word); }
bool is_given_name(std::string_view word) { return holds(kGivenNames, word); }
bool is_organization_word(std::string_view word) { return holds(kOrganizationWords, word); }
bool is_organization(std::string_view name) { return holds(kOrganizations, name); }
bool is_place(std::string_view name) { return holds(kPlaces, name); }
bool is_place_word(std::string_view word) { return holds(kPlaceWords, word); }
bool is_no_name(std::string_view word) { return holds(kNoNames, word); }

int month_of(std::string_view word) {
    const auto found = std::ranges::find(kMonths, word, &Month::name);
    return found == std::end(kMonths) ? 0 : found->number;
}

}  // namespace millrace::provider
