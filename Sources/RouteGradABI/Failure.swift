import CRouteGrad
import RouteGrad

/// A failure on its way to the caller: a status and one line.
struct Failure: Error {
  var status: rg_status
  var message: String

  init(_ status: rg_status, _ message: String) {
    self.status = status
    self.message = message
  }

  /// A call that is wrong in itself.
  static func argument(_ message: String) -> Failure { Failure(RG_INVALID_ARGUMENT, message) }
}

extension Failure {
  init(_ error: InvalidInput) { self.init(RG_INVALID_DATA, error.description) }

  init(_ error: Unavailable, _ subject: String) { self.init(RG_UNAVAILABLE, "\(subject): \(error)") }

  init(_ error: AssessmentError, _ subject: String) {
    switch error {
    case .unavailable(let reason): self.init(reason, subject)
    case .overflow(let overflow): self.init(RG_OVERFLOW, overflow.description)
    case .tolerance(let failure): self.init(RG_TOLERANCE_NOT_REACHED, failure.description)
    case .interrupted: self.init(RG_INTERRUPTED, "interrupted")
    }
  }
}

/// The status of `body`; a failure's message is kept for the calling thread.
func reporting(_ body: () throws(Failure) -> Void) -> rg_status {
  do {
    try body()
    return RG_OK
  } catch {
    ThreadState.current.record(error)
    return error.status
  }
}
