import RoutingCore

/// Every expert of every token, none of which counts: for whoever looks at their outputs (``LayerWorkspace/expertOutput(token:slot:)``,
/// slot i being expert i).
package struct EveryExpertRouter: TokenRouter {
  package static let id = "every-expert"

  package init() {}

  package func slots(experts: Int) -> Int { experts }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    token.primary.pointee = 0
    for i in 0..<token.experts { token.fill(i, expert: i, multiplier: 0) }
  }

  package func differentiate(_ token: TokenRoute) {}
}

/// Routes as another router does, and differentiates the loss as it stands: choices, coins and noise held, experts weighed as in the
/// forward pass. Of routers with one expert whose gate is its probability, times what a coin says.
package struct HeldRouter: TokenRouter {
  package static let id = "held"

  private let router: any TokenRouter

  package init(_ router: any TokenRouter) { self.router = router }

  package func slots(experts: Int) -> Int { router.slots(experts: experts) }
  package func memory(experts: Int) -> Int { router.memory(experts: experts) }
  package var inputJitter: Double { router.inputJitter }

  package func route(_ token: TokenRoute, _ random: inout Philox?) {
    router.route(token, &random)
    for s in 0..<token.slots { token.backwardMultiplier[s] = token.multiplier[s] }
  }

  /// `m = c p_D`, so `∂m = (m/p_D) ∂p_D`.
  package func differentiate(_ token: TokenRoute) {
    for i in 0..<token.experts { token.scratch[i] = 0 }
    for s in 0..<token.slots where token.multiplier[s] != 0 && token.choice[s] >= 0 {
      let i = Int(token.choice[s])
      token.scratch[i] = token.slopes[s] * token.multiplier[s] / token.probabilities[i]
    }
    router.differentiateDensely(token, slopes: token.scratch)
  }
}

/// What is to become of a token's expert instead of what the router says.
package struct ForcedRoute: Sendable, Equatable {
  /// The row of the batch.
  package var token: Int
  package var expert: Int
  /// What its output is multiplied by.
  package var multiplier: Double

  package init(token: Int, expert: Int, multiplier: Double) {
    self.token = token
    self.expert = expert
    self.multiplier = multiplier
  }
}
