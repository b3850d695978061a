import CRouteGrad
import RouteGrad
import Testing

/// Layers from arrays; that they are those of files is compared in Tests/PythonTests/test_layers.py.
struct LayerTests {
  /// A layer of one token, two experts, and one of everything else.
  private func audit(
    estimators: String? = "exact,conventional", threads: Int = 1, _ change: (inout rg_layer) -> Void = { _ in }
  ) throws -> String {
    let numbers: [Double] = [0.5, -1]
    let labels: [Int64] = [1, 0]
    var report: OpaquePointer?
    let status = numbers.withUnsafeBufferPointer { numbers in
      labels.withUnsafeBufferPointer { labels in
        "relu".withCString { activation in
          var layer = rg_layer()
          layer.size = MemoryLayout<rg_layer>.size
          (layer.tokens, layer.inputs, layer.hidden, layer.outputs, layer.experts) = (1, 1, 1, 1, 2)
          layer.activation = activation
          layer.input = numbers.baseAddress
          layer.router_weight = numbers.baseAddress
          layer.weight1 = numbers.baseAddress
          layer.weight2 = numbers.baseAddress
          layer.unembedding = numbers.baseAddress
          layer.classes = 2
          layer.labels = labels.baseAddress
          change(&layer)
          return rg_audit_layer(&layer, estimators, "expected-loss", nil, 0, threads, &report)
        }
      }
    }
    try require(status)
    defer { rg_report_destroy(report) }
    return String(cString: try #require(rg_report_json(report)))
  }

  @Test func isAudited() throws {
    let json = try audit()
    #expect(json.contains("routegrad.audit/1") && json.contains("conventional"))
    #expect(try audit(threads: 8) == json, "the number of threads changes nothing")
    #expect(try audit(estimators: nil).contains("sparsemixer"))
  }

  @Test func refusals() {
    func refused(_ status: rg_status, _ part: String, threads: Int = 1, _ change: (inout rg_layer) -> Void = { _ in }) {
      do {
        _ = try audit(threads: threads, change)
        Issue.record("\(part) was taken")
      } catch {
        #expect((error as? CFailure)?.status == status)
        #expect((error as? CFailure)?.message.contains(part) == true, "\(error)")
      }
    }
    refused(RG_INVALID_ARGUMENT, "layer.size") { $0.size = 1 }
    refused(RG_INVALID_ARGUMENT, "layer.tokens") { $0.tokens = 0 }
    refused(RG_INVALID_ARGUMENT, "layer.hidden") { $0.hidden = -1 }
    refused(RG_INVALID_ARGUMENT, "layer.classes") { $0.classes = .max }
    refused(RG_INVALID_ARGUMENT, "activation") { $0.activation = nil }
    refused(RG_INVALID_ARGUMENT, "input: expected a pointer") { $0.input = nil }
    refused(RG_INVALID_ARGUMENT, "router.weight: expected a pointer") { $0.router_weight = nil }
    refused(RG_INVALID_ARGUMENT, "got both") { $0.target = $0.input }
    refused(RG_INVALID_DATA, "labels[0]: expected a class from 0 to 0") { $0.classes = 1 }
    refused(RG_INVALID_ARGUMENT, "threads", threads: 0)
    refused(RG_INVALID_ARGUMENT, "adds_residual") { ($0.adds_residual, $0.outputs) = (1, 2) }
    expectRefusal(rg_audit_layer(nil, nil, "expected-loss", nil, 0, 1, nil), RG_INVALID_ARGUMENT, "report")
  }
}
