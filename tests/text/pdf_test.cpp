#include "text/extract.hpp"
#include "text/readers.hpp"
#include "text/subprocess.hpp"

#include "tests/text/assets.hpp"
#include "tests/text/samples.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace millrace::text {
namespace {

struct Case {
    std::string name;
    std::string bytes;
    Errc code;
    std::string detail;
};

TEST(Pdf, TextPagesAndTitleAreRead) {
    const auto extracted = extract(make_pdf({"First page.", "", "Third page."}, "A title"), Format::pdf);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    EXPECT_EQ(extracted->title, "A title");
    EXPECT_EQ(extracted->text, "First page.\n\nThird page.");
    ASSERT_EQ(extracted->page_offsets.size(), 3u);
    EXPECT_EQ(extracted->page_offsets[0], 0u);
    EXPECT_EQ(extracted->text.substr(extracted->page_offsets[2]), "Third page.");
}

TEST(Pdf, WhatCannotBeReadIsAClearError) {
    const std::string good = make_pdf({"Some text.", "More text."});
    const std::vector<Case> cases = {
        {"encrypted", fixture("encrypted.pdf"), Errc::corrupt,
         "the PDF is encrypted: remove its password and send it again"},
        {"images only", make_pdf({"", ""}), Errc::corrupt,
         "PDF without text: it holds only images; run OCR first"},
        {"cut in half", good.substr(0, good.size() / 2), Errc::corrupt, "cut off or damaged"},
        {"cut at the end", good.substr(0, good.size() - 60), Errc::corrupt, "cut off or damaged"},
        {"signature only", "%PDF-1.7\n", Errc::corrupt, "cut off or damaged"},
        {"not a PDF", "hello", Errc::corrupt, "the bytes are not a PDF"},
        {"empty", "", Errc::invalid_input, "the document is empty"},
    };
    for (const Case& test : cases) {
        const auto extracted = extract(test.bytes, Format::pdf);
        ASSERT_TRUE(extracted.has_error()) << test.name << ": " << extracted->text;
        EXPECT_EQ(extracted.error().code, test.code) << test.name;
        EXPECT_THAT(extracted.error().detail, testing::HasSubstr(test.detail)) << test.name;
        EXPECT_EQ(extracted.error().detail.find('\n'), std::string::npos) << test.name;
    }
}

TEST(Pdf, DotLeadersAreShortened) {
    const auto extracted = extract(
        make_pdf({"1 Scope . . . . . . . . . . . 3", "End......... 12", "Wait... what"}), Format::pdf);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    EXPECT_EQ(extracted->text, "1 Scope ... 3\n\nEnd... 12\n\nWait... what");
}

TEST(Pdf, OneThatOnlyItsOwnerMayChangeIsRead) {
    const auto extracted = extract(fixture("owner-password.pdf"), Format::pdf);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    EXPECT_EQ(extracted->text, "A secret page");
}

TEST(Pdf, LimitsHold) {
    const std::string pages = make_pdf(std::vector<std::string>(30, "A page with a line of text on it."));
    ExtractLimits few_pages;
    few_pages.pages_max = 29;
    ExtractLimits little_text;
    little_text.text_bytes_max = 100;
    ExtractLimits little_time;
    little_time.time_max = Duration(0);
    const std::vector<std::pair<ExtractLimits, std::string>> cases = {
        {few_pages, "the PDF has more than 29 pages"},
        {little_text, "the document holds more than 100 bytes of text"},
        {little_time, "reading the document took longer than 0 ms"},
    };
    for (const auto& [limits, detail] : cases) {
        const auto extracted = extract(pages, Format::pdf, limits);
        ASSERT_TRUE(extracted.has_error()) << detail;
        EXPECT_EQ(extracted.error().code, Errc::over_limit) << detail;
        EXPECT_EQ(extracted.error().detail, detail);
    }
    EXPECT_TRUE(extract(pages, Format::pdf));
}

TEST(Pdf, SeveralThreadsReadAtOnce) {
    std::vector<std::thread> threads;
    std::atomic<int> right = 0;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&right, i] {
            const std::string line = "Thread " + std::to_string(i);
            for (int round = 0; round < 5; ++round) {
                const auto extracted = extract(make_pdf({line}), Format::pdf);
                right += extracted && extracted->text == line ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, 20);
}

/// Runs a shell command as the PDF reader runs its programs.
ProcessResult run(const std::string& command, Duration time = std::chrono::seconds(20),
                  std::size_t output_max = 1000) {
    const Descriptor input = memory_file("input");
    auto result = run_process({"sh", "-c", command}, input,
                              {std::chrono::steady_clock::now() + time, std::size_t{256} << 20, output_max});
    return result ? std::move(*result) : ProcessResult{};
}

TEST(Subprocess, OutputErrorAndExitCodeAreReported) {
    const ProcessResult result = run("cat; echo problem >&2; exit 3");
    EXPECT_EQ(result.output, "input");
    EXPECT_EQ(result.error, "problem\n");
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(run("kill -6 $$").signal, 6);
}

TEST(Subprocess, EndsWhenTimeOrOutputRunOut) {
    EXPECT_EQ(run("exec sleep 600", Duration(50)).stopped, ProcessResult::Stop::late);
    EXPECT_EQ(run("exec sleep 600 >&- 2>&-", Duration(50)).stopped, ProcessResult::Stop::late);
    EXPECT_EQ(run("exec yes").stopped, ProcessResult::Stop::too_much_output);
    EXPECT_EQ(run("yes >&2 | head -c 300000; true", Duration(200)).error.size(), 8192u);
}

TEST(Subprocess, IsBoundAndInheritsNothing) {
    EXPECT_EQ(run("ulimit -v").output, "262144\n");
    EXPECT_EQ(run("ulimit -f").output, "0\n");
    EXPECT_EQ(run("ulimit -c").output, "0\n");
    EXPECT_EQ(run("env | grep -cv -e ^PATH= -e ^LC_ALL= -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=").output,
              "0\n");
    const int leaked = ::dup(0);
    EXPECT_EQ(run("ls /proc/self/fd | wc -l").output, "4\n");  // 0, 1, 2 and the folder itself
    ::close(leaked);
}

TEST(Subprocess, AMissingProgramIsUnavailable) {
    const Descriptor input = memory_file("");
    const auto result =
        run_process({"millrace-no-such-program"}, input,
                    {std::chrono::steady_clock::now() + std::chrono::seconds(20), 1 << 30, 1000});
    ASSERT_TRUE(result.has_error());
    EXPECT_EQ(result.error().code, Errc::unavailable);
    EXPECT_EQ(result.error().detail, "cannot start millrace-no-such-program: it is not installed");
}

TEST(Pdf, WithoutPopplerTheErrorNamesThePackage) {
    const Budget budget(ExtractLimits{});
    const auto extracted = read_pdf_by({"no-pdfinfo", "no-pdftotext"}, make_pdf({"x"}), budget);
    ASSERT_TRUE(extracted.has_error());
    EXPECT_EQ(extracted.error().code, Errc::unavailable);
    EXPECT_THAT(extracted.error().detail, testing::HasSubstr("poppler-utils"));
}

}  // namespace
}  // namespace millrace::text
