#include "batch/validate.hpp"

#include "tests/batch/world.hpp"

namespace millrace::batch {

class ValidateTest : public BatchTest {
  protected:
    Validation check(const std::string& text, ValidateOptions options = {}) {
        options.endpoint = options.endpoint.empty() ? "/v1/embeddings" : options.endpoint;
        return validate(write("in.jsonl", text), {target_}, options).value();
    }
    std::string code_of(const std::string& text, std::int64_t line) {
        const Validation found = check(text);
        if (found.problems.empty()) return "(none)";
        EXPECT_EQ(found.problems.front().line, line) << text;
        return found.problems.front().code;
    }
};

TEST_F(ValidateTest, EveryMistakeHasItsCodeAndItsLine) {
    const std::string good = request_text("a") + "\n";
    struct Row {
        std::string line;
        const char* code;
    };
    const Row rows[] = {
        {"{\"custom_id\": ", "invalid_json_line"},
        {"[1]", "invalid_json_line"},
        {R"({"method":"POST","url":"/v1/embeddings","body":{"model":"m"}})", "invalid_request"},
        {R"({"custom_id":"b","method":"GET","url":"/v1/embeddings","body":{"model":"m"}})",
         "invalid_request"},
        {R"({"custom_id":"b","method":"POST","url":"/v1/responses","body":{"model":"m"}})", "url_mismatch"},
        {R"({"custom_id":"b","method":"POST","url":"/v1/embeddings","body":1})", "invalid_request"},
        {R"({"custom_id":"b","method":"POST","url":"/v1/embeddings","body":{"model":"m","stream":true}})",
         "invalid_request"},
        {request_text("a"), "duplicate_custom_id"},
        {request_text("b", "other"), "model_mismatch"},
        {R"({"custom_id":"b","method":"POST","url":"/v1/embeddings","body":{"input":"x"}})",
         "model_mismatch"},
    };
    for (const Row& row : rows) EXPECT_EQ(code_of(good + row.line + "\n", 2), row.code) << row.line;
    EXPECT_EQ(code_of(request_text("a", "nobody"), 1), "model_not_found");
    EXPECT_EQ(code_of("", 0), "empty_file");
    EXPECT_EQ(code_of("\n \n", 0), "empty_batch");
}

TEST_F(ValidateTest, TooManyLinesAreOneProblem) {
    ValidateOptions options;
    options.lines_max = 3;
    EXPECT_EQ(check(requests(3), options).problems.size(), 0u);
    const Validation over = check(requests(9), options);
    ASSERT_EQ(over.problems.size(), 1u);
    EXPECT_EQ(over.problems.front().code, "too_many_tasks");
}

TEST_F(ValidateTest, OnlyTheFirstProblemsAreListedAndAllAreCounted) {
    std::string text;
    for (int i = 0; i < 150; ++i) text += "x\n";
    const Validation found = check(text);
    EXPECT_EQ(found.problems.size(), limits::batch_errors_max);
    EXPECT_EQ(found.problems_total, 150);
}

TEST_F(ValidateTest, AByteOrderMarkBlankLinesAndWindowsLineEndsAreNoMistakes) {
    const Validation found = check("\xEF\xBB\xBF" + request_text("a") + "\r\n\r\n" + request_text("b"));
    EXPECT_TRUE(found.problems.empty());
    EXPECT_EQ(found.lines, 2);
    EXPECT_EQ(found.deployment, "deployment");
    EXPECT_EQ(found.model, "m");
}

TEST_F(ValidateTest, ADeploymentIsMeantByItsNameBeforeItsModel) {
    Target other = target_;
    other.name = "m";
    other.model = "x";
    const Targets targets = {target_, other};
    EXPECT_EQ(find_target(targets, "m"), &targets[1]);
    EXPECT_EQ(find_target(targets, "deployment"), &targets[0]);
    EXPECT_EQ(find_target(targets, ""), nullptr);
}

TEST_F(ValidateTest, LinesWithoutModelGoToTheDeploymentOfTheUrl) {
    ValidateOptions options;
    options.deployment = "deployment";
    const std::string line = R"({"custom_id":"b","method":"POST","url":"/embeddings","body":{"input":"x"}})";
    const Validation found = check(line, options);
    EXPECT_TRUE(found.problems.empty());
    EXPECT_EQ(found.deployment, "deployment");
}

TEST_F(ValidateTest, TokensOfAnswersAreThoseAskedForOrTheDefault) {
    ValidateOptions options;
    options.endpoint = "/v1/chat/completions";
    options.estimates = true;
    target_.output_tokens_default = 100;
    const std::string start = R"(","method":"POST","url":"/v1/chat/completions","body":{"model":"m",)"
                              R"("messages":[{"role":"user","content":"12345"}])";
    const Validation found = check(
        "{\"custom_id\":\"a" + start + "}}\n{\"custom_id\":\"b" + start + ",\"max_completion_tokens\":7}}\n",
        options);
    EXPECT_TRUE(found.problems.empty());
    EXPECT_EQ(found.tokens.output, 107);
    EXPECT_EQ(found.tokens.prompt,
              2 * (5 + 4 + 3));  // a separator of four for the message, three for the reply
}

TEST_F(ValidateTest, ALineLongerThanALineMayBeIsAProblemAndTheNextOneIsRead) {
    const std::string text =
        std::string(limits::batch_line_bytes_max + 1, 'x') + "\n" + request_text("a") + "\n";
    const Validation found = check(text);
    ASSERT_EQ(found.problems.size(), 1u);
    EXPECT_EQ(found.problems.front().line, 1);
    EXPECT_EQ(found.lines, 2);
}

}  // namespace millrace::batch
