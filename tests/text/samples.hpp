// Documents made in the test: small, and hostile in one known way each.
#pragma once

#include <zip.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::text {

/// A ZIP archive of these entries, deflated.
inline std::string make_zip(const std::vector<std::pair<std::string, std::string>>& entries,
                            const char* password = nullptr) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* const target = zip_source_buffer_create(nullptr, 0, 0, &error);
    zip_t* const archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
    if (!archive) throw std::runtime_error("cannot make a ZIP archive");
    zip_source_keep(target);
    for (const auto& [name, content] : entries) {
        zip_source_t* const source = zip_source_buffer(archive, content.data(), content.size(), 0);
        const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
        if (password)
            zip_file_set_encryption(archive, static_cast<zip_uint64_t>(index), ZIP_EM_AES_256, password);
    }
    if (zip_close(archive) != 0) throw std::runtime_error("cannot write a ZIP archive");
    zip_source_open(target);
    zip_stat_t about;
    zip_source_stat(target, &about);
    std::string bytes(about.size, '\0');
    zip_source_read(target, bytes.data(), bytes.size());
    zip_source_close(target);
    zip_source_free(target);
    return bytes;
}

inline std::string word_part(std::string_view body) {
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document "
           "xmlns:w=\"http://schemas.openxmlformats.org/"
           "wordprocessingml/2006/main\"><w:body>" +
           std::string(body) + "</w:body></w:document>";
}

/// A DOCX with the body given as WordprocessingML.
inline std::string make_docx(std::string_view body,
                             std::vector<std::pair<std::string, std::string>> more = {}) {
    more.emplace_back("[Content_Types].xml", "<Types/>");
    more.emplace_back("word/document.xml", word_part(body));
    return make_zip(more);
}

/// A paragraph of WordprocessingML; `style` may be empty.
inline std::string word_paragraph(std::string_view text, std::string_view style = {}) {
    std::string properties;
    if (!style.empty()) properties = "<w:pPr><w:pStyle w:val=\"" + std::string(style) + "\"/></w:pPr>";
    return "<w:p>" + properties + "<w:r><w:t>" + std::string(text) + "</w:t></w:r></w:p>";
}

/// A PDF with one line of text per page; a page whose line is empty holds only a drawing.
inline std::string make_pdf(const std::vector<std::string>& pages, const std::string& title = {}) {
    std::vector<std::string> objects = {"<< /Type /Catalog /Pages 2 0 R >>", "",
                                        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
                                        "<< /Title (" + title + ") >>"};
    std::string kids;
    for (const std::string& line : pages) {
        const std::size_t page = objects.size() + 1;
        kids += std::to_string(page) + " 0 R ";
        objects.push_back(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            "/Contents " +
            std::to_string(page + 1) + " 0 R >>");
        const std::string content =
            line.empty() ? "0 0 100 100 re f" : "BT /F1 12 Tf 72 700 Td (" + line + ") Tj ET";
        objects.push_back("<< /Length " + std::to_string(content.size()) + " >>\nstream\n" + content +
                          "\nendstream");
    }
    objects[1] = "<< /Type /Pages /Count " + std::to_string(pages.size()) + " /Kids [ " + kids + "] >>";
    std::string pdf = "%PDF-1.4\n",
                table = "xref\n0 " + std::to_string(objects.size() + 1) + "\n0000000000 65535 f \n";
    for (std::size_t i = 0; i < objects.size(); ++i) {
        std::string offset = std::to_string(pdf.size());
        offset.insert(0, 10 - offset.size(), '0');
        table += offset + " 00000 n \n";
        pdf += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
    }
    const std::string start = std::to_string(pdf.size());
    return pdf + table + "trailer\n<< /Size " + std::to_string(objects.size() + 1) +
           " /Root 1 0 R /Info 4 0 R >>\nstartxref\n" + start + "\n%%EOF\n";
}

}  // namespace millrace::text
