/// A router that is not ours, driven call by call with its random draws forced.
///
/// A conforming type need not be a router itself: it may pass calls on to another process (`routegrad lint` does).
public protocol ForeignRouter {
  /// What the router says of itself.
  var profile: RouterProfile { get }

  /// Routes a batch of tokens, forward and backward.
  ///
  /// - Throws: ``RouterFailure`` if there is no answer; that ends the battery.
  func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer
}

/// A router that is a Swift closure.
public struct ClosureRouter: ForeignRouter {
  public let profile: RouterProfile
  private let body: (RouterCall) throws(RouterFailure) -> RouterAnswer

  /// A router with this profile that answers what the closure returns.
  public init(
    _ profile: RouterProfile, _ body: @escaping (RouterCall) throws(RouterFailure) -> RouterAnswer
  ) {
    self.profile = profile
    self.body = body
  }

  public func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer { try body(call) }
}

/// Why a router gave no answer, or none that can be read.
public struct RouterFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line.
  public let description: String

  /// Says why.
  public init(_ description: String) { self.description = description }
}
