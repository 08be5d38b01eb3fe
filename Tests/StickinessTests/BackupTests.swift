import Stickiness
import Testing

@Suite struct BackupTests {
    static let ordinary = (0..<6).map { Rendezvous.Member(name: "b\($0)", weight: Double($0 % 3 + 1)) }
    static let backups = (0..<4).map {
        Rendezvous.Member(name: "spare\($0)", weight: Double($0 % 2 + 1) * 100, isBackup: true)
    }

    /// However heavy they are, backups come after all others; both in the order that they have among themselves.
    @Test func backupsComeAfterAllOthers() {
        let alone = Rendezvous(key: .published, members: BackupTests.ordinary)
        let spares = Rendezvous(key: .published, members: BackupTests.backups)
        // The backups stand first in the list: their place in it plays no part.
        let both = Rendezvous(key: .published, members: BackupTests.backups + BackupTests.ordinary)
        var random = Generator(seed: 11)
        for _ in 0..<500 {
            let key = random.next()
            let order = Array(both.preferenceOrder(of: key))
            #expect(order.prefix(6).map { $0 - 4 } == Array(alone.preferenceOrder(of: key)))
            #expect(Array(order.dropFirst(6)) == Array(spares.preferenceOrder(of: key)))
            #expect(both.first(of: key).map { $0 - 4 } == alone.first(of: key))
            for (place, member) in order.enumerated() {
                #expect(Array(both.preferenceOrder(of: key, after: member)) == Array(order.dropFirst(place + 1)))
            }
            var filtered = both.preferenceOrder(of: key)
            #expect(filtered.next { $0 < 4 } == order[6])
        }
    }

    @Test func whichAreBackupsIsPartOfTheMapping() {
        let hash = { (members: [Rendezvous.Member]) in
            Rendezvous(key: .published, members: members).mappingHash(mask: SourceMask(), input: .source)
        }
        var ordinary = BackupTests.ordinary
        let plain = hash(ordinary)
        ordinary[0].isBackup = true
        let first = hash(ordinary)
        ordinary[0].isBackup = false
        ordinary[1].isBackup = true
        #expect(Set([plain, first, hash(ordinary)]).count == 3)
    }

    @Test func onlyHomesCountAsMoved() {
        let old = BackupTests.ordinary + BackupTests.backups
        #expect(
            Rendezvous.movedShare(from: old, to: BackupTests.ordinary, sameHash: true) == 0,
            "nobody was at home at a backup")
        let less = Array(BackupTests.ordinary.dropFirst())
        #expect(
            Rendezvous.movedShare(from: old, to: less + BackupTests.backups, sameHash: true)
                == Rendezvous.movedShare(from: BackupTests.ordinary, to: less, sameHash: true))
    }
}
