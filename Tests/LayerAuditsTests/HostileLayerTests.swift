import LayerTensors
import RoutingCore
import RoutingEstimators
import Testing
import _TestSupport

@testable import LayerAudits

/// Layers of finite numbers that no training leaves behind: an audit answers with numbers, or refuses in one line.
@Suite(.seeded) struct HostileLayerTests {
  private static let magnitudes = [1e308, 1e200, 1e155, 1e100, 1e-170, 1e-310, .leastNonzeroMagnitude, 0]

  /// Audits a layer against a target of experts and of the router alone, under every mask.
  private func requireNumbersOrRefusal(_ layer: DumpedLayer, _ title: String) {
    for mask in [Mask.none, .paper(threshold: 0.4), .referenceCode(threshold: 0.3)] {
      for target in [GradientTarget.expectedLoss, .gatingTerm] {
        do {
          let audit = try LayerAudit(layer, options: LayerAudit.Options(target: target, mask: mask))
          #expect(audit.expectedLoss.isFinite, "\(title)")
          for (target, norms) in audit.targets {
            #expect(norms.values.allSatisfy { $0.isFinite }, "\(title), \(target)")
          }
          for entry in audit.entries {
            guard case .success(let figures) = entry.result else { continue }
            #expect(figures.values.allSatisfy { $0.isFinite }, "\(title), \(entry.estimator.specification)")
          }
        } catch {
          #expect(!error.description.isEmpty && !error.description.contains("\n"), "\(title)")
        }
      }
    }
  }

  @Test("one tensor of one size", arguments: magnitudes, [false, true])
  func sizes(_ size: Double, _ isCrossEntropy: Bool) {
    let names = SmallLayer().make("names").parameters.all.map(\.name) + ["input"]
    for name in names {
      for onlyFirst in [false, true] {
        // Of a squared error so many outputs that vectors are combinations of the experts'.
        let layer = SmallLayer(
          activation: .silu, isCrossEntropy: isCrossEntropy, tokens: 2, width: isCrossEntropy ? 3 : 4
        ).make("hostile")
        let tensor = layer.parameters.all.first { $0.name == name }?.tensor ?? layer.input
        for k in 0..<(onlyFirst ? 1 : tensor.count) { tensor.elements[k] = tensor.elements[k] < 0 ? -size : size }
        requireNumbersOrRefusal(layer, "\(name) of \(size), \(onlyFirst ? "one entry" : "all")")
      }
    }
  }

  @Test("extents of one", arguments: [1, 2], [1, 2])
  func extents(_ tokens: Int, _ experts: Int) throws {
    for isCrossEntropy in [false, true] {
      let small = SmallLayer(isCrossEntropy: isCrossEntropy, tokens: tokens, experts: experts, width: 1)
      let layer = small.make("ones")
      requireNumbersOrRefusal(layer, "\(small)")
      let audit = try LayerAudit(layer)
      for entry in audit.entries where entry.estimator.claims.draws == 2 && experts == 1 {
        guard case .failure(let reason) = entry.result else {
          Issue.record("\(entry.estimator.specification) draws two of one expert")
          continue
        }
        #expect(reason == Unavailable("needs two experts"))
      }
    }
  }

  @Test("logits as far apart as Float64 goes, and all the same")
  func logits() throws {
    for biases in [[0, -1e6, -1e6], [1.7e308, -1.7e308, 0], [-1e308, -1e308, -1e308], [0, 0, 0], [0, -720, -745]] {
      let layer = SmallLayer().make("logits")
      layer.parameters.router.clear()
      for (k, bias) in biases.enumerated() { layer.parameters.routerBias?.elements[k] = bias }
      requireNumbersOrRefusal(layer, "\(biases)")
      _ = try LayerAudit(layer)
    }
  }
}
