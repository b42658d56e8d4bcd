// The word lists behind the local tasks. All words are folded (fold_case) unless said otherwise.
#pragma once

#include <span>
#include <string_view>
#include <utility>

namespace millrace::provider {

/// How much `word` strengthens (above 1) or weakens (below 1) what follows; 0: it does neither.
double strength_of_word(std::string_view word);
/// "not", "never", "kein", …
bool is_negation(std::string_view word);
/// "but", "however", …: what follows counts for more.
bool is_contrast(std::string_view word);
/// Emoticons and emoji with their mood.
std::span<const std::pair<std::string_view, double>> signs_with_mood();

/// A word before a person's name: "dr", "president".
bool is_title(std::string_view word);
/// A frequent given name.
bool is_given_name(std::string_view word);
/// A word that ends or is part of an organisation's name: "inc", "university", "gmbh".
bool is_organization_word(std::string_view word);
/// An organisation that is known by its name alone: "nato", "google".
bool is_organization(std::string_view name);
/// A country, a large city, a continent; of several words joined by one space.
bool is_place(std::string_view name);
/// A word that ends a place's name: "river", "county", "street".
bool is_place_word(std::string_view word);
/// The number of the month that `word` names, in full or short; 0: none.
int month_of(std::string_view word);
/// Capitalised where it begins a sentence or by custom, but no name: weekdays, months, "the", "however".
bool is_no_name(std::string_view word);

}  // namespace millrace::provider
