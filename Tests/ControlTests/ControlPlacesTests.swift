import Testing

@testable import Control

/// Nobody can take all the places at the control socket.
@Suite struct ControlPlacesTests {
    private func caller(_ uid: UInt32) -> Caller { Caller(pid: 1, uid: uid, gid: uid) }

    private func refusal(
        _ places: inout ControlPlaces, _ uid: UInt32, _ role: AccessPolicy.Role
    ) -> ControlError? {
        do throws(ControlError) {
            _ = try places.take(caller(uid), role)
            return nil
        } catch {
            return error
        }
    }

    @Test func `One user has so many and no more`() throws {
        var places = ControlPlaces(ControlLimits())
        for _ in 0..<16 { #expect(refusal(&places, 1000, .reader) == nil) }
        let error = try #require(refusal(&places, 1000, .reader))
        #expect(error.code == .busy && error.message.contains("user 1000 has 16 control clients"))
        for _ in 0..<32 { #expect(refusal(&places, 1001, .administrator) == nil) }
        #expect(refusal(&places, 1001, .administrator)?.message.contains("user 1001 has 32") == true)
        // Others have theirs all the same.
        #expect(refusal(&places, 1002, .reader) == nil)
        #expect(refusal(&places, 0, .administrator) == nil)
        #expect(places.taken == 50)
    }

    @Test func `Readers leave room for those who may change`() {
        var places = ControlPlaces(ControlLimits())
        for user in UInt32(1000)..<1003 {
            for _ in 0..<16 { #expect(refusal(&places, user, .reader) == nil) }
        }
        #expect(refusal(&places, 1003, .reader)?.message.contains("there are 48 control clients") == true)
        for _ in 0..<12 { #expect(refusal(&places, 1004, .administrator) == nil) }
        // And these leave room for root.
        #expect(refusal(&places, 1005, .administrator)?.message.contains("there are 60 control clients") == true)
        for _ in 0..<4 { #expect(refusal(&places, 0, .administrator) == nil) }
        #expect(refusal(&places, 0, .administrator)?.code == .busy)
    }

    @Test func `Whoever leaves gives the place back`() throws {
        var limits = ControlLimits()
        limits.clientsPerReader = 1
        limits.readers = 2
        var places = ControlPlaces(limits)
        let first = try places.take(caller(1000), .reader)
        #expect(refusal(&places, 1000, .reader) != nil)
        places.leave(first)
        #expect(places.taken == 0)
        #expect(refusal(&places, 1000, .reader) == nil)
        #expect(refusal(&places, 1001, .reader) == nil)
        #expect(refusal(&places, 1002, .reader) != nil)
    }
}
