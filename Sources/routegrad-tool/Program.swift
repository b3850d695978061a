import ArgumentParser
import CStandardLibrary
import RouteGrad
import RouteGradTraining

/// How the program ends.
enum Program {
  /// The arguments without the program's name, in which bytes that are not UTF-8 stand as `FileName` has them;
  /// `CommandLine.arguments` replaces them, and what they name could not be found again.
  static var arguments: [String] {
    UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc)).dropFirst().map { argument in
      argument.map { FileName.text(of: UnsafeBufferPointer(start: $0, count: strlen($0)).map(UInt8.init(bitPattern:))) }
        ?? ""
    }
  }

  /// Ends the program as an error asks for: help on standard output, or one line on standard error and the
  /// error's status.
  static func exit(with error: any Error) -> Never {
    guard RouteGradCommand.exitCode(for: error) != .success else {
      // Help and version are thrown, too.
      do {
        var text = Terminal.characters(RouteGradCommand.fullMessage(for: error))
        // Completion scripts are no text for people.
        if text.contains("USAGE: ") { text = text.withFittingLines }
        try Output.standard.write(text.last == "\n" ? text : text + "\n")
        CStandardLibrary.exit(ExitStatus.success.rawValue)
      } catch {
        exit(with: error)
      }
    }
    let refusal = Refusal(error)
    Terminal.complain("routegrad: \(refusal)")
    Interruption.exit(ExitStatus(refusal.code))
  }
}

/// Exit statuses, after `sysexits.h`.
enum ExitStatus: Int32 {
  case success = 0
  /// A verdict: wrong, with the counter-example.
  case refuted = 1
  /// A verdict: not enough to go on.
  case undecided = 2
  /// Options, ids or parameters that do not exist or do not go together.
  case wrongUsage = 64
  /// A file that is not what it should be, or a result that overflows Float64.
  case wrongData = 65
  /// An input that cannot be opened.
  case noInput = 66
  /// An output that cannot be written.
  case noOutput = 73
  /// Stopped by a signal: 128 + its number.
  case hungUp = 129
  case interrupted = 130
  case terminated = 143
}

extension ExitStatus {
  /// What a verdict ends the program with.
  init(_ verdict: Verdict) {
    self =
      switch verdict {
      case .proved, .consistent: .success
      case .refuted: .refuted
      case .undecided: .undecided
      }
  }
}

extension ExitStatus {
  /// What a refusal ends the program with.
  init(_ code: Refusal.Code) {
    self =
      switch code {
      case .wrongData: .wrongData
      case .noInput: .noInput
      case .noOutput: .noOutput
      case .interrupted: Interruption.status
      default: .wrongUsage
      }
  }
}

extension Refusal {
  /// What an error of the library or of the parser amounts to.
  init(_ error: any Error) {
    switch error {
    case let refusal as Refusal: self = refusal
    case let error as InvalidEstimator: self.init(.wrongUsage, error.description)
    default:
      let lines = RouteGradCommand.message(for: error).split(whereSeparator: \.isNewline)
      self.init(.wrongUsage, lines.joined(separator: " "))
    }
  }

  /// Settings whose options have other names.
  private static let options = ["heldOutPercent": "held-out", "vocabularyLimit": "vocabulary"]

  /// What is wrong with a setting that an option of the same name gives: `learningRate` is `--learning-rate`.
  init(option error: InvalidInput) {
    let setting = error.path.split(separator: ".").last.map(String.init) ?? ""
    let option = Self.options[setting] ?? setting.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
    self.init(.wrongUsage, "'--\(option)': \(error.expectation)")
  }
}
