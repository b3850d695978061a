import ArgumentParser
import CStandardLibrary
import RouteGrad
import RouteGradTraining

/// How the program ends.
enum Program {
  /// Ends the program as an error asks for: help on standard output, or one line on standard error and the
  /// error's status.
  static func exit(with error: any Error) -> Never {
    Interruption.discardUnfinished()
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
    let failure = Failure(error)
    Terminal.complain("routegrad: \(failure.message)")
    CStandardLibrary.exit(failure.status.rawValue)
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
  /// Stopped by a signal that was waited for.
  case interrupted = 130
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

/// An error with its exit status.
struct Failure: Error {
  var status: ExitStatus
  var message: String

  init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  /// What an error of the library or of the parser amounts to.
  init(_ error: any Error) {
    switch error {
    case let failure as Failure: self = failure
    case let error as InvalidFile: self.init(.wrongData, error.description)
    case let error as InvalidEstimator: self.init(.wrongUsage, error.description)
    case let error as ReportError:
      self.init(error.code == .wrongData ? .wrongData : .wrongUsage, error.description)
    case let error as SampleError:
      self.init(error.code == .noInput ? .noInput : .wrongData, error.description)
    case let error as RunError:
      switch error.code {
      case .noInput: self.init(.noInput, error.description)
      case .noOutput: self.init(.noOutput, error.description)
      case .wrongData: self.init(.wrongData, error.description)
      default: self.init(.wrongUsage, error.description)
      }
    default:
      let lines = RouteGradCommand.message(for: error).split(whereSeparator: \.isNewline)
      self.init(.wrongUsage, lines.joined(separator: " "))
    }
  }

  /// What is wrong with a setting that an option of the same name gives: `learningRate` is `--learning-rate`.
  init(option error: InvalidInput) {
    let option = error.path.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
    self.init(.wrongUsage, "'--\(option)': \(error.expectation)")
  }
}
