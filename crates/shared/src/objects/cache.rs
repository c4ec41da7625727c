//! A bounded map that forgets what has not been asked for: two generations, the older of which goes
//! when the younger is full.

use std::collections::HashMap;
use std::mem;

/// Holds at most as many entries as it was made for.
pub(crate) struct Cache<V> {
    generation_max: usize,
    young: HashMap<String, V>,
    old: HashMap<String, V>,
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        let generation_max = (entries_max / 2).max(1);
        Self { generation_max, young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: &str, value: V) {
        self.old.remove(key);
        if self.young.len() >= self.generation_max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key.to_owned(), value);
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.young.remove(key);
        self.old.remove(key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_and_keeps_what_is_asked_for() {
        let mut cache = Cache::new(100);
        cache.insert("kept", 7);
        for number in 0..1000 {
            cache.insert(&number.to_string(), number);
            assert_eq!(cache.get("kept"), Some(7));
            assert_eq!(cache.get(&number.to_string()), Some(number));
            assert!(cache.len() <= 100, "{}", cache.len());
        }
        assert_eq!(cache.get("0"), None);
        cache.remove("kept");
        assert_eq!(cache.get("kept"), None);
    }
}
