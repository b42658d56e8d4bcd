#include "app/file_types.hpp"

#include <array>
#include <fstream>
#include <string_view>

namespace millrace::app {

namespace {

struct FileType {
    std::string_view extension;
    std::string_view media_type;
};

constexpr std::array kTypes = {
    FileType{".txt", "text/plain"},
    FileType{".text", "text/plain"},
    FileType{".rst", "text/plain"},
    FileType{".md", "text/markdown"},
    FileType{".markdown", "text/markdown"},
    FileType{".html", "text/html"},
    FileType{".htm", "text/html"},
    FileType{".xhtml", "application/xhtml+xml"},
    FileType{".pdf", "application/pdf"},
    FileType{".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
};

}  // namespace

std::string media_type_of(const std::filesystem::path& file) {
    std::string extension = file.extension().string();
    for (char& c : extension)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    for (const auto& [known, type] : kTypes)
        if (known == extension) return std::string(type);
    return {};
}

bool is_hidden(const std::filesystem::path& file) {
    const std::string name = file.filename().string();
    return name.starts_with('.') || name.ends_with('~') || name.ends_with(".part") || name.ends_with(".tmp");
}

std::string known_extensions() {
    std::string list;
    for (const auto& [extension, type] : kTypes) {
        if (!list.empty()) list += ", ";
        list += extension;
    }
    return list;
}

std::optional<std::string> read_whole(const std::filesystem::path& path, std::size_t bytes_max) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes;
    char buffer[65536];
    while (in && bytes.size() <= bytes_max) {
        in.read(buffer, sizeof buffer);
        bytes.append(buffer, static_cast<std::size_t>(in.gcount()));
    }
    if (!in.eof() || in.bad() || bytes.size() > bytes_max) return std::nullopt;
    return bytes;
}

}  // namespace millrace::app
