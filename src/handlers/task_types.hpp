// The kinds of tasks there are: built in, changed and added by configuration. The producer of a task names
// its kind; prompt, schema and deployment are chosen here.
#pragma once

#include "handlers/json_schema.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::handlers {

/// What is done with the text, beyond one answer.
enum class TaskShape {
    answer,     ///< one answer by prompt and schema
    summary,    ///< as `answer`, with options of its own
    classes,    ///< one of some labels
    entities,   ///< of a long text: found piece by piece and counted together
    embedding,  ///< vectors
    steps,      ///< other tasks at once, joined
};

/// A kind of task.
struct TaskType {
    std::string name;
    std::string deployment;  ///< empty: the first that can do it
    std::string prompt;
    std::string schema;      ///< JSON schema of the answer; empty: free text
    std::vector<std::string> labels;  ///< of `classes`, where the task brings none
    std::vector<std::string> steps;   ///< names of other tasks
    std::int64_t output_tokens_max = 0;  ///< of one answer; 0: what suits the type
    std::int64_t input_tokens_max =
        0;   ///< of one call; a longer text goes in pieces; 0: what the model takes
    TaskShape shape = TaskShape::answer;
    std::optional<JsonSchema> checked;   ///< `schema`, read
};

/// Every kind of task of a process. Immutable.
class TaskCatalogue {
  public:
    /// The built-in kinds, each with what an entry of `configured` of the same name says otherwise, then
    /// those entries with names of their own. Adds a line to `problems` for all that is wrong: a schema that
    /// is none, unknown or circular steps, steps beside a prompt, a kind without either, a name used twice.
    static TaskCatalogue make(std::vector<TaskType> configured, std::vector<std::string>& problems);

    /// Null if there is no such kind. Lives as long as the catalogue.
    const TaskType* find(std::string_view name) const;
    /// In name order.
    std::vector<std::string> names() const;

  private:
    std::map<std::string, TaskType, std::less<>> types_;
};

/// What a task asks for beyond its kind.
struct TaskOptions {
    std::int64_t words_max = 0;  ///< summarize: "maxWords"
    std::string style;  ///< summarize: "style"
    std::vector<std::string> labels;  ///< classify: "labels"
    std::vector<std::string> types;  ///< entities: "types"
    std::string language;  ///< of the answer
};

/// Reads a task's `options`; those of steps go to the step that knows them. Names are taken in camelCase,
/// PascalCase and snake_case. invalid_input: unknown to `type`, or of the wrong kind.
Result<TaskOptions> read_options(const TaskCatalogue& catalogue, const TaskType& type,
                                 const boost::json::object& options);

/// What the model is told to do. Never names the model.
std::string instructions_for(const TaskType& type, const TaskOptions& options);
/// The schema that the answer shall follow; empty: free text. Narrowed by labels and types.
std::string schema_for(const TaskType& type, const TaskOptions& options);
/// The labels to choose from.
const std::vector<std::string>& labels_for(const TaskType& type, const TaskOptions& options);

}  // namespace millrace::handlers
