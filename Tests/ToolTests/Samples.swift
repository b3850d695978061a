import Foundation
import _TestSupport

/// Problem files for tests.
enum Samples {
  /// A mixture of three experts.
  static let mixture = """
    {"schema": "routegrad.problem/1", "name": "sample", "kind": "mixture", "logits": [0.3, -1.2, 0.8],
     "expertOutputs": [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]], "scale": [1.0, 1.5],
     "defaultOutputs": [[0.1, 0.1], [0.8, -0.2], [0.1, 0.2]],
     "loss": {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}}
    """

  /// A categorical problem of three choices.
  static let categorical = """
    {"schema": "routegrad.problem/1", "name": "choice", "kind": "categorical", "logits": [0.3, -1.2, 0.8],
     "objective": {"type": "softmax-cross-entropy", "weights": [[1, 2, 3], [3, 4, 5.5]], "biases": [0, 0.1], "label": 1}}
    """

  /// Several problems as one file.
  static func list(_ problems: String...) -> String {
    #"{"schema": "routegrad.problems/1", "problems": [\#(problems.joined(separator: ",\n"))]}"#
  }

  /// A file that ships with the program.
  static func shipped(_ name: String) -> String {
    Fixtures.root.appending(path: "problems/\(name)").path
  }
}
