import FileFormats
import RoutingCore

/// What an audit of a model's routers found: the `audit` of a line of metrics.
package enum ModelAudit: Sendable, Equatable {
  /// One layer, token by token exact.
  case router(RouterAudit)
  /// The layers of a network.
  case network(NetworkAudit)

  package var json: JSONValue {
    switch self {
    case .router(let audit): audit.json
    case .network(let audit): audit.json
    }
  }
}

/// What an audit is to look at.
package struct AuditRequest: Sendable {
  /// The steps done.
  package var step: Int
  /// The tokens of each layer whose other experts are tried, in networks; 0: none.
  package var tokens: Int
  package var threads: Int

  package init(step: Int, tokens: Int = 0, threads: Int = 1) {
    self.step = step
    self.tokens = tokens
    self.threads = threads
  }

  /// What is thrown when an audit is called off.
  static let calledOff = Refusal(.interrupted, "the audit was interrupted")
}
