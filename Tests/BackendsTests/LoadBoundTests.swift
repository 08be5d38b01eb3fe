import Backends
import Testing

@Suite struct LoadBoundTests {
    /// However connections come, none takes more than its bound, and somebody always may.
    @Test(arguments: [100, 125, 150, 300]) func theBoundHoldsAndNobodyIsStuck(_ factor: Int) {
        let weights = [1, 1, 2, 4]
        var loads: [UInt64] = [0, 0, 0, 0]
        for number in 0..<4000 {
            let load = loads.reduce(0, +)
            let bound = LoadBound(factor: factor, load: load, weight: weights.reduce(0, +))
            let free = weights.indices.filter { !bound.isExceeded(load: loads[$0], weight: weights[$0]) }
            guard let first = free.first else {
                Issue.record("nobody may take connection \(number)")
                return
            }
            loads[first] += 1
            let fair = Double(load + 1) * Double(weights[first]) / 8
            #expect(Double(loads[first]) < fair * Double(factor) / 100 + 1)
        }
    }

    @Test func aLoneBackendTakesEverything() {
        for load in UInt64(0)..<100 {
            #expect(!LoadBound(factor: 100, load: load, weight: 3).isExceeded(load: load, weight: 3))
        }
    }

    @Test func numbersBeyondReasonDoNotTrap() {
        #expect(!LoadBound(factor: 10_000, load: .max >> 20, weight: 1).isExceeded(load: 5, weight: 256 << 30))
        #expect(LoadBound(factor: 100, load: 0, weight: 0).isExceeded(load: 7, weight: 1))
    }
}
