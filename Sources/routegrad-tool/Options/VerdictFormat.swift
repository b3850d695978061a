import ArgumentParser

/// How a verdict is printed.
enum VerdictFormat: String, CaseIterable, ExpressibleByArgument {
  case text
  case json
}
