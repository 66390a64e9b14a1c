//! Which module files to load, in which order, and what is in them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{anyhow, bail, Context, Result};
use flate2::read::GzDecoder;

/// One step of loading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The file, in the kernel's module folder.
    pub path: String,
    /// Whether it must load. What is only wished for (a driver's soft
    /// dependency, such as the crypto that a CPU may lack) need not.
    pub required: bool,
}

/// The files of the module folder `modules` to load for `names`, each after
/// what it needs. What is built in is left out; a name that the kernel does
/// not know at all is an error.
pub fn order(modules: &Path, names: &[&str]) -> Result<Vec<Load>> {
    Index::read(modules)?.order(names)
}

/// A module as the loader of any kernel takes it: not compressed.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("cannot read the module {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(what)?);
    let mut data = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => file.read_to_end(&mut data).map(drop).with_context(what)?,
        Some("gz") => {
            GzDecoder::new(file)
                .read_to_end(&mut data)
                .map(drop)
                .with_context(what)?;
        }
        Some("xz") => lzma_rs::xz_decompress(&mut file, &mut Cursor::new(&mut data))
            .map_err(|error| anyhow!("{error:?}"))
            .with_context(what)?,
        _ => bail!(
            "{} is compressed in a way that this does not know",
            path.display()
        ),
    }
    Ok(data)
}

/// A module's name in its canonical spelling: no folder, no suffix, no dashes.
pub fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// A kernel's modules, from the files that depmod and Kbuild wrote.
#[derive(Default)]
struct Index {
    /// By name: the path, and the paths it needs, nearest first.
    loadable: HashMap<String, (String, Vec<String>)>,
    built_in: Vec<String>,
    /// By name: what should be loaded before, names or aliases.
    wishes: HashMap<String, Vec<String>>,
    /// Alias and name; patterns among them are never asked for.
    aliases: Vec<(String, String)>,
}

impl Index {
    fn read(modules: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = modules.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self::parse(
            &text("modules.dep")?,
            &text("modules.builtin")?,
            &text("modules.softdep")?,
            &text("modules.alias")?,
        ))
    }

    fn parse(dep: &str, built_in: &str, softdep: &str, alias: &str) -> Self {
        let dep_line = |line: &str| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            Some((name(path), (path.to_owned(), needs)))
        };
        // softdep MODULE [pre: NAME...] [post: NAME...]
        let softdep_line = |line: &str| {
            let (module, rest) = line.strip_prefix("softdep ")?.split_once(' ')?;
            let before = rest.split_once("pre:")?.1.split("post:").next()?;
            Some((
                name(module),
                before.split_whitespace().map(str::to_owned).collect(),
            ))
        };
        let alias_line = |line: &str| {
            let (alias, module) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
            Some((alias.to_owned(), name(module)))
        };
        Self {
            loadable: dep.lines().filter_map(dep_line).collect(),
            built_in: built_in.lines().map(name).collect(),
            wishes: softdep.lines().filter_map(softdep_line).collect(),
            aliases: alias.lines().filter_map(alias_line).collect(),
        }
    }

    fn order(&self, names: &[&str]) -> Result<Vec<Load>> {
        let mut order = Vec::new();
        for module in names {
            let known = name(module);
            if self.built_in.contains(&known) {
                continue;
            }
            let Some(chain) = self.chain(&known) else {
                bail!("the kernel has no module {module}, neither loadable nor built in");
            };
            for path in chain {
                for wish in self.wished_for(&name(path)) {
                    for path in self.chain(wish).into_iter().flatten() {
                        push(&mut order, path, false);
                    }
                }
                push(&mut order, path, true);
            }
        }
        Ok(order)
    }

    /// A loadable module's file after those it needs.
    fn chain(&self, module: &str) -> Option<impl Iterator<Item = &String>> {
        let (path, needs) = self.loadable.get(module)?;
        // modules.dep lists all needs, farthest last.
        Some(needs.iter().rev().chain([path]))
    }

    /// The modules behind the soft dependencies of `module`.
    fn wished_for(&self, module: &str) -> impl Iterator<Item = &str> {
        let wishes = self.wishes.get(module).into_iter().flatten();
        wishes.flat_map(|wish| {
            let aliases = self.aliases.iter().filter(move |(alias, _)| alias == wish);
            aliases
                .map(|(_, module)| module.as_str())
                .chain([wish.as_str()])
        })
    }
}

fn push(order: &mut Vec<Load>, path: &str, required: bool) {
    match order.iter_mut().find(|load| load.path == path) {
        Some(load) => load.required |= required,
        None => order.push(Load {
            path: path.to_owned(),
            required,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_what_is_needed_first_and_once() {
        let dep = "a/net.ko.xz: a/core.ko.xz b/base.ko\na/core.ko.xz: b/base.ko\nb/base.ko:\n\
                   c/crc-fast.ko:\n";
        let soft = "softdep core pre: crc none post: late\n";
        let index = Index::parse(dep, "fs/ext4.ko\n", soft, "alias crc crc_fast\n");
        let order = index.order(&["ext4", "net", "core"]).unwrap();
        let order: Vec<_> = order
            .iter()
            .map(|load| (load.path.as_str(), load.required))
            .collect();
        let net = ("a/net.ko.xz", true);
        assert_eq!(
            order,
            [
                ("b/base.ko", true),
                ("c/crc-fast.ko", false),
                ("a/core.ko.xz", true),
                net
            ]
        );
        assert!(index.order(&["absent"]).is_err());
        assert_eq!(name("kernel/virtio-rng.ko.xz"), "virtio_rng");
    }
}
