// The moods of words; the lists are the product's own.
#include "provider/local_sentiment.hpp"

#include <algorithm>
#include <array>

namespace millrace::provider {

namespace {

using namespace std::string_view_literals;

struct MoodOfWord {
    std::string_view word;
    signed char mood;
};

// clang-format off: it gives each word a column.
constexpr std::array<MoodOfWord, 445> kMoods = {{
    {"able", 1}, {"abuse", -3}, {"abysmal", -4}, {"accurate", 2}, {"adore", 3}, {"affordable", 2},
    {"affreux", -3}, {"afraid", -2}, {"against", -1}, {"agree", 1}, {"agreed", 1}, {"agréable", 2},
    {"amazing", 3}, {"anger", -3}, {"angry", -3}, {"annoyed", -2}, {"annoying", -2}, {"anxious", -2},
    {"appalling", -4}, {"appreciate", 2}, {"appreciated", 2}, {"atrocious", -4}, {"ausgezeichnet", 3},
    {"average", -1}, {"awesome", 4}, {"awful", -3}, {"bad", -2}, {"beau", 2}, {"beautiful", 3},
    {"belle", 2}, {"benefit", 2}, {"benefits", 2}, {"best", 3}, {"better", 2}, {"bien", 2}, {"blame", -2},
    {"bon", 2}, {"bonito", 2}, {"bonne", 2}, {"boring", -2}, {"bright", 2}, {"brilliant", 4},
    {"broken", -3}, {"buena", 2}, {"bueno", 2}, {"bug", -2}, {"bugs", -2}, {"calm", 2}, {"calmly", 1},
    {"cancel", -2}, {"cancelled", -2}, {"caro", -2}, {"cassé", -2}, {"catastrophe", -4},
    {"catastrophic", -4}, {"celebrate", 3}, {"certain", 1}, {"charming", 2}, {"cheat", -2},
    {"cheerful", 2}, {"cher", -2}, {"clean", 2}, {"clear", 2}, {"cold", -2}, {"comfortable", 2},
    {"complain", -2}, {"complained", -2}, {"complaint", -2}, {"complaints", -2}, {"complicated", -2},
    {"concern", -2}, {"concerned", -2}, {"confident", 2}, {"confused", -2}, {"confusing", -2},
    {"convenient", 2}, {"convincing", 2}, {"cool", 2}, {"corrupt", -3}, {"costly", -2}, {"courteous", 2},
    {"crash", -3}, {"crashed", -3}, {"crashes", -3}, {"crisis", -2}, {"critical", -2}, {"cruel", -3},
    {"cry", -2}, {"damage", -3}, {"damaged", -3}, {"danger", -3}, {"dangerous", -3}, {"danke", 2},
    {"dead", -3}, {"deadly", -3}, {"death", -3}, {"decent", 1}, {"decline", -2}, {"declined", -2},
    {"defect", -2}, {"defective", -2}, {"delay", -2}, {"delayed", -2}, {"delicious", 2}, {"delighted", 3},
    {"deny", -2}, {"depressed", -2}, {"destroy", -3}, {"destroyed", -3}, {"devastating", -3},
    {"difficult", -2}, {"difficulty", -2}, {"dirty", -2}, {"disappoint", -2}, {"disappointed", -2},
    {"disappointing", -2}, {"disappointment", -2}, {"disaster", -3}, {"disastrous", -4},
    {"disgusting", -4}, {"dislike", -2}, {"dissatisfied", -2}, {"doubt", -2}, {"dull", -1}, {"déçu", -2},
    {"easy", 2}, {"effective", 2}, {"efficient", 2}, {"elegant", 2}, {"empfehlen", 2}, {"encouraging", 2},
    {"enjoy", 2}, {"enjoyed", 2}, {"enjoys", 2}, {"enough", 1}, {"enthusiastic", 3}, {"enttäuscht", -2},
    {"erfolg", 2}, {"error", -2}, {"errors", -2}, {"evil", -3}, {"excelente", 3}, {"excellent", 4},
    {"excellente", 3}, {"exceptional", 3}, {"exciting", 2}, {"expensive", -2}, {"fail", -3},
    {"failed", -3}, {"failing", -3}, {"fails", -3}, {"failure", -3}, {"fair", 2}, {"fantastic", 3},
    {"fantastisch", 3}, {"fast", 2}, {"fatal", -3}, {"favorite", 3}, {"favourite", 3}, {"fear", -2},
    {"fehler", -2}, {"feliz", 2}, {"fell", -2}, {"fine", 1}, {"flawless", 3}, {"fraud", -3}, {"fresh", 2},
    {"freundlich", 2}, {"friendly", 2}, {"frustrated", -2}, {"frustrating", -2}, {"frustration", -2},
    {"fun", 2}, {"furchtbar", -3}, {"furious", -3}, {"fürchterlich", -3}, {"gain", 1}, {"gains", 1},
    {"generous", 2}, {"gentle", 2}, {"glad", 2}, {"glücklich", 2}, {"good", 2}, {"gorgeous", 3},
    {"gracias", 2}, {"grateful", 2}, {"great", 3}, {"grow", 2}, {"growth", 2}, {"guilty", -2}, {"gut", 2},
    {"gute", 2}, {"guter", 2}, {"happy", 3}, {"hard", -1}, {"harm", -2}, {"harmful", -2}, {"hasse", -3},
    {"hate", -3}, {"hated", -3}, {"hates", -3}, {"healthy", 2}, {"heavy", -1}, {"helpful", 2},
    {"hervorragend", 3}, {"heureux", 2}, {"honest", 2}, {"hope", 2}, {"hopeless", -3}, {"horrible", -3},
    {"horrific", -4}, {"horroroso", -3}, {"hurt", -2}, {"ignore", -2}, {"ignored", -2}, {"ill", -2},
    {"illegal", -3}, {"impressive", 3}, {"improve", 2}, {"improved", 2}, {"improvement", 2},
    {"improves", 2}, {"incorrect", -2}, {"inferior", -2}, {"injured", -2}, {"injury", -2},
    {"innovative", 2}, {"insecure", -2}, {"inspiring", 2}, {"insult", -2}, {"interesting", 1},
    {"intuitive", 2}, {"joy", 3}, {"kaputt", -2}, {"katastrophal", -3}, {"kill", -3}, {"killed", -3},
    {"kind", 2}, {"lack", -2}, {"lacks", -2}, {"langsam", -2}, {"late", -2}, {"lazy", -2}, {"leider", -2},
    {"lent", -2}, {"lento", -2}, {"less", -1}, {"lie", -3}, {"lied", -3}, {"like", 2}, {"liked", 2},
    {"likes", 2}, {"limited", -1}, {"lose", -2}, {"loses", -2}, {"losing", -2}, {"loss", -2},
    {"losses", -2}, {"lost", -2}, {"love", 3}, {"loved", 3}, {"lovely", 2}, {"loves", 3}, {"lucky", 2},
    {"magnificent", 4}, {"magnifique", 3}, {"malo", -3}, {"maravilloso", 3}, {"marvelous", 3},
    {"mauvais", -3}, {"merci", 2}, {"merveilleux", 3}, {"mess", -2}, {"miserable", -3}, {"missing", -2},
    {"mistake", -2}, {"mistakes", -2}, {"nasty", -2}, {"negative", -2}, {"nervous", -2}, {"nice", 2},
    {"nightmare", -4}, {"noisy", -2}, {"nul", -3}, {"odio", -3}, {"okay", 1}, {"old", -1}, {"outage", -2},
    {"outstanding", 4}, {"pain", -2}, {"painful", -2}, {"panic", -2}, {"pathetic", -3}, {"peaceful", 2},
    {"peor", -3}, {"perfect", 4}, {"perfectly", 3}, {"perfecto", 3}, {"perfekt", 3}, {"phenomenal", 4},
    {"pire", -3}, {"pleasant", 2}, {"pleased", 2}, {"pleasure", 2}, {"polite", 2}, {"poor", -3},
    {"positive", 1}, {"praise", 2}, {"praised", 2}, {"problem", -2}, {"problema", -2}, {"probleme", -2},
    {"problems", -2}, {"problème", -2}, {"productive", 2}, {"profit", 2}, {"profitable", 2},
    {"progress", 2}, {"promising", 2}, {"proud", 2}, {"quick", 2}, {"ready", 1}, {"recomiendo", 2},
    {"recommend", 2}, {"recommended", 2}, {"refuse", -2}, {"refused", -2}, {"regret", -2}, {"reject", -2},
    {"rejected", -2}, {"reliable", 2}, {"remarkable", 3}, {"respect", 2}, {"responsive", 2}, {"rich", 2},
    {"risk", -2}, {"risky", -2}, {"robust", 2}, {"roto", -2}, {"rough", -1}, {"rude", -3}, {"réussi", 2},
    {"sad", -2}, {"safe", 2}, {"satisfied", 2}, {"satisfying", 2}, {"scam", -3}, {"scared", -2},
    {"schlecht", -3}, {"schrecklich", -3}, {"schön", 2}, {"secure", 2}, {"severe", -3}, {"shame", -2},
    {"shock", -2}, {"sick", -1}, {"slow", -2}, {"smart", 2}, {"smile", 2}, {"smooth", 2}, {"solid", 1},
    {"sorry", -2}, {"spectacular", 3}, {"stable", 1}, {"strange", -1}, {"strong", 2}, {"struggle", -2},
    {"stupid", -3}, {"success", 2}, {"successful", 2}, {"successfully", 2}, {"suffer", -2},
    {"suffered", -2}, {"sufficient", 1}, {"super", 2}, {"superb", 4}, {"support", 2}, {"supportive", 2},
    {"suspicious", -2}, {"sweet", 2}, {"terrible", -3}, {"terrific", 3}, {"teuer", -2}, {"thank", 2},
    {"thankful", 2}, {"thanks", 2}, {"threat", -2}, {"threaten", -2}, {"thrilled", 3}, {"tight", -1},
    {"tired", -2}, {"toll", 2}, {"tragedy", -3}, {"tragic", -3}, {"traurig", -2}, {"triste", -2},
    {"triumph", 3}, {"trouble", -2}, {"trust", 2}, {"trusted", 2}, {"ugly", -2}, {"unable", -2},
    {"unacceptable", -3}, {"uncertain", -1}, {"unclear", -2}, {"unfair", -2}, {"unfortunate", -2},
    {"unfortunately", -2}, {"unhappy", -2}, {"unreliable", -2}, {"unsafe", -2}, {"unsure", -1},
    {"upset", -2}, {"usable", 1}, {"useable", 1}, {"useful", 2}, {"useless", -3}, {"valuable", 2},
    {"violent", -3}, {"vulnerable", -2}, {"war", -3}, {"warn", -2}, {"warning", -2}, {"waste", -3},
    {"wasted", -3}, {"weak", -2}, {"weird", -1}, {"welcome", 2}, {"well", 2}, {"win", 3}, {"winner", 3},
    {"wise", 2}, {"wonderful", 3}, {"works", 1}, {"worried", -2}, {"worry", -2}, {"worse", -3},
    {"worst", -4}, {"worth", 2}, {"worthless", -3}, {"wrong", -2}, {"wunderbar", 3}, {"wütend", -2},
    {"zufrieden", 2}, {"éxito", 2},
}};
// clang-format on
static_assert(std::ranges::is_sorted(kMoods, {}, &MoodOfWord::word));

}  // namespace

double mood_of_word(std::string_view folded) {
    const auto found = std::ranges::lower_bound(kMoods, folded, {}, &MoodOfWord::word);
    return found != kMoods.end() && found->word == folded ? found->mood : 0;
}

}  // namespace millrace::provider
