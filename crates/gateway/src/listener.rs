//! Accepting connections: how many there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::connection::Door;
use crate::gateway::Counted;

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
struct Entered {
    peers: Arc<Peers>,
    network: IpAddr,
}

impl Peers {
    /// Counts a connection; none if its address has too many.
    fn enter(self: &Arc<Self>, ip: IpAddr, max: u32) -> Option<Entered> {
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

/// Accepts connections while there is room for them.
pub(crate) async fn accept(listener: TcpListener, door: Door, room: Arc<Semaphore>) {
    let gateway = door.gateway.clone();
    let stop = gateway.stop.child_token();
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let live = gateway.live.load();
        let edge = &live.config.edge;
        let ip = peer.ip().to_canonical();
        // Many callers come from a proxy.
        let is_proxy = edge.trusted_proxies.iter().any(|network| network.contains(&ip));
        let max = if is_proxy { u32::MAX } else { edge.connections_per_address_max };
        let Some(entered) = gateway.peers.enter(ip, max) else {
            gateway.counters.connection_refused();
            continue;
        };
        // A chunk of an answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
        }
        let counted = Counted::new(&gateway.counters.connections);
        let serving = door.clone().serve(stream, peer);
        gateway.doors.spawn(async move {
            serving.await;
            drop((permit, counted, entered));
        });
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
