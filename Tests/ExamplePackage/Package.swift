// swift-tools-version: 6.2
import PackageDescription

// How another package tests its own estimator and its own router with RouteGrad; run by
//   swift test --package-path Tests/ExamplePackage
let package = Package(
  name: "ExamplePackage",
  dependencies: [.package(name: "RouteGrad", path: "../..")],
  targets: [
    .target(name: "MyEstimator", dependencies: [.product(name: "RouteGrad", package: "RouteGrad")]),
    .testTarget(name: "MyEstimatorTests", dependencies: ["MyEstimator"]),
  ]
)
