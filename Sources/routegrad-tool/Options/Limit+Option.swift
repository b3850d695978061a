import ArgumentParser
import RouteGrad

extension Limit {
  /// Throws what the parser says of an option whose value is not within the limit.
  func validate(_ option: String, _ value: Value?) throws {
    if let value, let complaint = complaint(about: value) { throw ValidationError("'\(option)': \(complaint)") }
  }
}
