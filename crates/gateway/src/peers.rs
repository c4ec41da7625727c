//! How many connections each address has open.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by the address they come from. It holds no more entries than connections are open.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<IpAddr, Peer>>);

#[derive(Debug, Default)]
struct Peer {
    open: u32,
    /// The log has been told that it wants too many.
    is_told: bool,
}

/// One connection of an address, while it is held.
#[derive(Debug)]
pub(crate) struct Entered {
    peers: Arc<Peers>,
    network: IpAddr,
}

impl Peers {
    /// Counts a connection; none if its address has too many.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr, max: u32) -> Option<Entered> {
        let network = network(ip);
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = peers.entry(network).or_default();
        if peer.open >= max {
            if !std::mem::replace(&mut peer.is_told, true) {
                tracing::warn!(
                    %network, max,
                    "connections are refused: too many from one address (edge.connections_per_address_max)"
                );
            }
            return None;
        }
        peer.open += 1;
        drop(peers);
        Some(Entered { peers: self.clone(), network })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut peers = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get_mut(&self.network) {
            peer.open -= 1;
            if peer.open == 0 {
                peers.remove(&self.network);
            }
        }
    }
}

/// Who is counted as one: an IPv4 address, and the 64 bits of IPv6 that one customer gets.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_leaves_nothing_behind() {
        let peers = Arc::new(Peers::default());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = peers.enter(ip("10.0.0.1"), 2);
        let second = peers.enter(ip("::ffff:10.0.0.1"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(peers.enter(ip("10.0.0.1"), 2).is_none(), "in either spelling");
        let other = peers.enter(ip("10.0.0.2"), 2);
        assert!(other.is_some());
        drop(first);
        let third = peers.enter(ip("10.0.0.1"), 2);
        assert!(third.is_some());
        let six = peers.enter(ip("2001:db8::1"), 1);
        assert!(six.is_some());
        assert!(peers.enter(ip("2001:db8::2"), 1).is_none(), "one network of a customer");
        assert!(peers.enter(ip("2001:db8:0:1::1"), 1).is_some());
        drop((second, third, other, six));
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
