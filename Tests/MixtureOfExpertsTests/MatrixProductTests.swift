import CBLASLoader
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

@Suite(.seeded) struct MatrixProductTests {
  @Test("products agree with their definition, by the library and by the loops built in", arguments: [false, true])
  func definition(_ isPortable: Bool) {
    var random = TestSeed.generator("products")
    let double = isPortable ? rg_portable_dgemm : rg_dgemm
    let single = isPortable ? rg_portable_sgemm : rg_sgemm
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (64, 65, 66), (130, 70, 129), (4, 200, 3), (5, 6, 0)] {
      for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        for beta in [0.0, -0.5] {
          let (lda, ldb, ldc) = ((ta ? m : k) + 2, (tb ? k : n) + 1, n + 3)
          let a = random.normals((ta ? k : m) * lda + lda)
          let b = random.normals((tb ? n : k) * ldb + ldb)
          let c = random.normals(m * ldc)
          var expected = c
          for i in 0..<m {
            for j in 0..<n {
              var sum = CompensatedSum()
              for l in 0..<k { sum += (ta ? a[l * lda + i] : a[i * lda + l]) * (tb ? b[j * ldb + l] : b[l * ldb + j]) }
              expected[i * ldc + j] = 1.5 * sum.value + (beta == 0 ? 0 : beta * c[i * ldc + j])
            }
          }
          // What c held does not matter without beta.
          var result = c.indices.map { beta == 0 && $0 % ldc < n ? Double.nan : c[$0] }
          var narrow = result.map(Float.init)
          double(
            ta ? 1 : 0, tb ? 1 : 0, Int32(m), Int32(n), Int32(k), 1.5, a, Int32(lda), b, Int32(ldb), beta, &result,
            Int32(ldc))
          single(
            ta ? 1 : 0, tb ? 1 : 0, Int32(m), Int32(n), Int32(k), 1.5, a.map(Float.init), Int32(lda),
            b.map(Float.init), Int32(ldb), Float(beta), &narrow, Int32(ldc))
          let inputs = "\(m)×\(n)×\(k), \(ta), \(tb), \(beta)"
          expectClose(result, expected, relative: 1e-14, scale: 20, quantity: "Double", inputs)
          expectClose(narrow.map(Double.init), expected, relative: 1e-5, scale: 20, quantity: "Float", inputs)
        }
      }
    }
  }

  @Test("the libraries have names")
  func names() {
    #expect(!MatrixLibrary.float.isEmpty && !MatrixLibrary.double.isEmpty)
  }
}

@Suite(.seeded) struct BalancedAssignmentTests {
  @Test("no balanced assignment is better", arguments: [(4, 2), (5, 2), (6, 3), (3, 4), (7, 3)])
  func optimal(tokens: Int, experts: Int) throws {
    var random = TestSeed.generator("assignment \(tokens) \(experts)")
    for _ in 0..<10 {
      let logits = random.normals(tokens * experts)
      let choice = try BalancedAssignment.solve(logits, tokens: tokens, experts: experts)
      func value(_ choice: [Int]) -> Double { choice.indices.reduce(0) { $0 + logits[$1 * experts + choice[$1]] } }
      func isBalanced(_ choice: [Int]) -> Bool {
        let loads = (0..<experts).map { i in choice.count { $0 == i } }
        return loads.allSatisfy { $0 >= tokens / experts && $0 <= (tokens + experts - 1) / experts }
      }
      #expect(isBalanced(choice))
      var best = -Double.infinity
      var places = [Int](repeating: 0, count: tokens)
      while true {
        if isBalanced(places) { best = max(best, value(places)) }
        guard let k = places.indices.first(where: { places[$0] < experts - 1 }) else { break }
        for j in 0..<k { places[j] = 0 }
        places[k] += 1
      }
      expectClose(value(choice), best, within: 1e-5 * Double(tokens))
    }
  }

  @Test("equal logits and large batches are assigned evenly")
  func large() throws {
    let choice = try BalancedAssignment.solve([Double](repeating: 0.5, count: 1000 * 16), tokens: 1000, experts: 16)
    #expect((0..<16).allSatisfy { i in (62...63).contains(choice.count { $0 == i }) })
  }
}
