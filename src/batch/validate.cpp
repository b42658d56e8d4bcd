#include "batch/validate.hpp"

#include <algorithm>
#include <unordered_set>

namespace millrace::batch {

namespace {

constexpr std::int64_t kLinesPerLook = 256;

/// Reads line by line and notes what is wrong.
class Validator {
  public:
    Validator(const Targets& targets, const ValidateOptions& options)
        : targets_(targets), options_(options) {}

    /// False: no further line is of interest.
    bool take(const Line& line) {
        result_.lines += 1;
        if (result_.lines > options_.lines_max) {
            note({"too_many_tasks", "more than " + std::to_string(options_.lines_max) + " requests", "", 0});
            return false;
        }
        auto request = parse_request_line(line, options_.endpoint);
        if (!request) {
            note(request.error());
            return true;
        }
        if (!ids_.insert(std::hash<std::string>()(request->custom_id)).second)
            note({"duplicate_custom_id", "custom_id \"" + request->custom_id + "\" stands on an earlier line",
                  "custom_id", line.number});
        if (check_model(*request) && options_.estimates) add(*request);
        return true;
    }

    Validation end(std::uint64_t bytes) {
        if (bytes == 0)
            note({"empty_file", "the file is empty", "", 0});
        else if (result_.lines == 0)
            note({"empty_batch", "the file holds no request", "", 0});
        return std::move(result_);
    }

    void cancel() { result_.cancelled = true; }

  private:
    void note(LineProblem problem) {
        result_.problems_total += 1;
        if (result_.problems.size() < limits::batch_errors_max)
            result_.problems.push_back(std::move(problem));
    }

    bool check_model(const RequestLine& request) {
        const bool by_option =
            options_.deployment_wins || (request.model.empty() && !options_.deployment.empty());
        const std::string& model = by_option ? options_.deployment : request.model;
        if (!known_) {
            target_ = find_target(targets_, model);
            known_ = true;
            first_ = model;
            result_.model = model;
            if (target_ != nullptr) result_.deployment = target_->name;
        }
        if (model != first_) {
            note({"model_mismatch",
                  "all lines name one model; line " + std::to_string(request.number) + " names \"" + model +
                      "\", the first \"" + first_ + "\"",
                  "body.model", request.number});
            return false;
        }
        if (target_ != nullptr) return true;
        const std::string why = model.empty() ? "the line names no model"
                                              : "no deployment is called \"" + model + "\" or has this model";
        note({"model_not_found", why, "body.model", request.number});
        return false;
    }

    void add(const RequestLine& request) {
        const TokenEstimate one =
            estimate(request.body, options_.endpoint, target_->count, target_->output_tokens_default);
        result_.tokens.prompt += one.prompt;
        result_.tokens.output += one.output;
    }

    const Targets& targets_;
    const ValidateOptions& options_;
    Validation result_;
    std::unordered_set<std::size_t> ids_;
    const Target* target_ = nullptr;
    std::string first_;
    bool known_ = false;
};

}  // namespace

const Target* find_target(const Targets& targets, std::string_view model) {
    const auto by_name = std::find_if(targets.begin(), targets.end(),
                                      [&](const Target& target) { return target.name == model; });
    if (by_name != targets.end()) return &*by_name;
    const auto by_model = std::find_if(targets.begin(), targets.end(),
                                       [&](const Target& target) { return target.model == model; });
    return model.empty() || by_model == targets.end() ? nullptr : &*by_model;
}

Result<Validation> validate(const std::filesystem::path& path, const Targets& targets,
                            const ValidateOptions& options) {
    auto reader = LineReader::open(path);
    if (!reader) return reader.error();
    Validator validator(targets, options);
    Line line;
    while ((*reader)->next(line) && validator.take(line)) {
        const bool look = line.number % kLinesPerLook == 0 && options.cancelled;
        if (!look || !options.cancelled()) continue;
        validator.cancel();
        break;
    }
    return validator.end((*reader)->size());
}

}  // namespace millrace::batch
