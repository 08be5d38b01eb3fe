/// Who has the places of the control socket's clients, so that nobody can take all of them: some are kept for root, some for
/// those who may change, and one user has so many at most. A pure value.
struct ControlPlaces {
    /// What a client takes up; given back by ``leave(_:)``.
    struct Place {
        fileprivate let user: UInt32
        fileprivate let isReader: Bool
    }

    private let limits: ControlLimits
    private(set) var taken = 0
    private var readers = 0
    private var byUser: [UInt32: Int] = [:]

    init(_ limits: ControlLimits) {
        self.limits = limits
    }

    /// - Throws: ``ControlError/Code/busy`` where there is none for this caller.
    mutating func take(_ caller: Caller, _ role: AccessPolicy.Role) throws(ControlError) -> Place {
        let isReader = role < .administrator
        let own = byUser[caller.uid] ?? 0
        if caller.uid != 0 {
            let most = isReader ? limits.clientsPerReader : limits.clientsPerAdministrator
            guard own < most else {
                throw ControlError(
                    .busy, "user \(caller.uid) has \(own) control clients already: end one, or try again")
            }
        }
        guard taken < (caller.uid == 0 ? limits.clients : limits.clients - limits.clientsOfRoot),
            !isReader || readers < limits.readers
        else { throw ControlError(.busy, "there are \(taken) control clients already: end one, or try again") }
        taken += 1
        if isReader { readers += 1 }
        byUser[caller.uid] = own + 1
        return Place(user: caller.uid, isReader: isReader)
    }

    mutating func leave(_ place: Place) {
        taken -= 1
        if place.isReader { readers -= 1 }
        let left = (byUser[place.user] ?? 1) - 1
        byUser[place.user] = left > 0 ? left : nil
    }
}
