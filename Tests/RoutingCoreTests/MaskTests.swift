import RoutingCore
import Testing
import _TestSupport

/// The two masks, their edges, and what they have in common.
@Suite(.seeded) struct MaskTests {
  @Test func noneKeepsAll() {
    #expect(Mask.none.support(of: [3, -1e308, 1e308]) == [0, 1, 2])
  }

  @Test func paperKeepsTheEdge() {
    // θ* − θ_j = 1, r(|θ*| + |θ_j|) = 0.25 · 4: dyadic, so the edge is exact.
    #expect(Mask.paper(threshold: 0.25).support(of: [2.5, 1.5]) == [0, 1])
    #expect(Mask.paper(threshold: 0.25).support(of: [2.5, 1.5.nextDown]) == [0])
    #expect(Mask.paper(threshold: 0.25).support(of: [-1.5, -2.5]) == [0, 1])
    #expect(Mask.paper(threshold: 0.25).support(of: [-1.5, (-2.5).nextDown]) == [0])
  }

  @Test func referenceCodeKeepsTheEdge() {
    // (2 − 1)/max(1, 2) = 0.5 = 2r.
    #expect(Mask.referenceCode(threshold: 0.25).support(of: [2, 1]) == [0, 1])
    #expect(Mask.referenceCode(threshold: 0.25).support(of: [2, 1 - 0x1p-52]) == [0])
    // Negative logits: the magnitude is that of θ_j, (−1 + 2)/max(2, −1) = 0.5.
    #expect(Mask.referenceCode(threshold: 0.25).support(of: [-1, -2]) == [0, 1])
    #expect(Mask.referenceCode(threshold: 0.25).support(of: [-1, -2 - 0x1p-50]) == [0])
  }

  @Test func zeroOverZeroKeeps() {
    for mask in [
      Mask.paper(threshold: 0.1), .referenceCode(threshold: 0.1), .referenceCode(threshold: 0),
    ] {
      #expect(mask.support(of: [0, 0, -0.0]) == [0, 1, 2])
    }
    // The maximum is 0: any logit below is at the ratio 1.
    #expect(Mask.referenceCode(threshold: 0.49).support(of: [0, -1e-300]) == [0])
    #expect(Mask.referenceCode(threshold: 0.5).support(of: [0, -1e300]) == [0, 1])
  }

  @Test func zeroThresholdKeepsTies() {
    for mask in [Mask.paper(threshold: 0), .referenceCode(threshold: 0)] {
      #expect(mask.support(of: [1, 3, 2, 3]) == [1, 3])
    }
  }

  @Test func masksAreNotShiftInvariant() {
    let mask = Mask.paper(threshold: 0.1)
    #expect(mask.support(of: [1, 2]) == [1])
    #expect(mask.support(of: [101, 102]) == [0, 1])
  }

  @Test func excludedExpertLeavesTheMaximumToTheOthers() {
    let logits = [5.0, 1, 0.9, -3]
    #expect(Mask.paper(threshold: 0.1).support(of: logits) == [0])
    #expect(Mask.paper(threshold: 0.1).support(of: logits, excluding: 0) == [1, 2])
    #expect(Mask.none.support(of: logits, excluding: 2) == [0, 1, 3])
  }

  @Test(arguments: [1e-3, 0.1, 0.3, 0.9, 1.5])
  func paperIsASubsetOfReferenceCode(_ threshold: Double) {
    var generator = TestSeed.generator("mask subset \(threshold)")
    for _ in 0..<500 {
      let centre = Double(Int.random(in: -4...4, using: &generator))
      let logits = generator.normals(6, spread: 2, centre: centre)
      let paper = Mask.paper(threshold: threshold).support(of: logits)
      let code = Mask.referenceCode(threshold: threshold).support(of: logits)
      #expect(Set(paper).isSubset(of: code), "\(logits)")
      #expect(paper == paper.sorted() && code == code.sorted())
      let top = logits.max() ?? 0
      #expect(paper.contains { logits[$0] == top } && code.contains { logits[$0] == top })
    }
  }

  /// The paper's mask is what multiplicative jitter can make the argmax.
  @Test(arguments: [0.05, 0.2, 0.6])
  func paperKeepsWhatJitterCanDraw(_ r: Double) {
    var generator = TestSeed.generator("mask jitter \(r)")
    for _ in 0..<300 {
      let logits = generator.normals(5, spread: 1.5)
      let reachable = logits.indices.filter { j in
        let best = logits[j] + r * logits[j].magnitude
        return logits.indices.allSatisfy { $0 == j || logits[$0] - r * logits[$0].magnitude <= best }
      }
      #expect(Mask.paper(threshold: r).support(of: logits) == reachable, "\(logits)")
    }
  }

  /// Both rules compare like with like, so a power of two common to all logits changes nothing, up to the
  /// range's end.
  @Test(arguments: [-1000, -600, 400, 900, 1019])
  func scaleDoesNotMatter(_ power: Int) {
    var generator = TestSeed.generator("mask scale \(power)")
    let factor = Double(sign: .plus, exponent: power, significand: 1)
    for _ in 0..<100 {
      let logits = generator.normals(5)
      for mask in [
        Mask.paper(threshold: 0.3), .referenceCode(threshold: 0.3), .paper(threshold: 2),
      ] {
        #expect(mask.support(of: logits) == mask.support(of: logits.map { $0 * factor }), "\(logits)")
      }
    }
  }

  @Test func logitsWhoseDifferenceOverflows() {
    let logits = [1.7e308, -1.7e308, 1.6e308]
    // θ* − θ_j = 2|θ*|, so the paper keeps it from r = 1 on.
    #expect(Mask.paper(threshold: 0.99).support(of: logits) == [0, 2])
    #expect(Mask.paper(threshold: 1).support(of: logits) == [0, 1, 2])
    #expect(Mask.referenceCode(threshold: 0.99).support(of: logits) == [0, 2])
    #expect(Mask.referenceCode(threshold: 1).support(of: logits) == [0, 1, 2])
    #expect(Mask.paper(threshold: 1e300).support(of: logits) == [0, 1, 2])
  }

  @Test func names() throws {
    #expect(Mask(rule: "none", threshold: 0.2) == Mask.none)
    #expect(Mask(rule: "paper", threshold: 0.2) == .paper(threshold: 0.2))
    #expect(Mask(rule: "reference-code", threshold: 0) == .referenceCode(threshold: 0))
    #expect(Mask(rule: "Paper", threshold: 0.2) == nil)
    for rule in Mask.rules {
      let mask = try #require(Mask(rule: rule, threshold: 0.3))
      #expect(mask.rule == rule)
      #expect(mask.threshold == (rule == "none" ? nil : 0.3))
    }
  }

  @Test func negativeThresholdTraps() async {
    await #expect(processExitsWith: .failure) { _ = Mask(rule: "paper", threshold: -0.1) }
    await #expect(processExitsWith: .failure) { _ = Mask(rule: "paper", threshold: .infinity) }
    await #expect(processExitsWith: .failure) { _ = Mask.none.support(of: [1], excluding: 0) }
  }
}
