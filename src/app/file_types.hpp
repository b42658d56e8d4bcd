// Which files can become documents, told by their names.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace millrace::app {

/// The media type of a file that can be ingested, by its extension; "" for any other.
std::string media_type_of(const std::filesystem::path& file);

/// True for names that a walk passes over without a word: hidden files and folders, editors' backups and part
/// files.
bool is_hidden(const std::filesystem::path& file);

/// The bytes of a regular file of at most `bytes_max` bytes; none if it can't be read or is larger.
std::optional<std::string> read_whole(const std::filesystem::path& path, std::size_t bytes_max);

/// The extensions, for messages: ".txt, .md, …".
std::string known_extensions();

}  // namespace millrace::app
