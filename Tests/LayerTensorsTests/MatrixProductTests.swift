import CBLASLoader
import LayerTensors
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
