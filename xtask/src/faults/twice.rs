//! What is done at the wrong time, or twice, and what happens to a kernel that waits.

use anyhow::{ensure, Result};
use handoff_abi::region;

use super::stage::Stage;
use super::{slow, Fault};
use crate::cycles;

pub const FAULTS: &[Fault] = &[
    slow("at-once", "commands while a load is under way", at_once),
    slow(
        "interrupted",
        "a load that is interrupted, or killed",
        interrupted,
    ),
    slow("load-twice", "a second load beside the first", load_twice),
    slow(
        "not-for-others",
        "somebody else than root reads the region",
        not_for_others,
    ),
    slow(
        "changed-region",
        "a page of the region is changed while it waits",
        changed_region,
    ),
    slow(
        "given-back",
        "a page is changed when it is too late to refuse",
        given_back,
    ),
    slow("update-twice", "two updates at once", update_twice),
    slow("cycles", "load and unload, three times", three_cycles),
];

const BUSY: &[&str] = &[
    "another baton command is at work",
    "load --kernel",
    "wait until",
];

fn at_once(stage: &mut Stage) -> Result<()> {
    let load = stage.begin(&stage.load(""));
    stage.wait_started()?;
    for command in ["unload", "update"] {
        stage.baton(command)?.expect(1, BUSY)?;
    }
    stage.refuses("", 1, BUSY)?;
    load.end()?.expect(0, &["ready"])?;
    stage.unload()
}

/// Sends a signal to the load that is under way.
fn signal(stage: &Stage, signal: &str) -> Result<()> {
    stage
        .shell(&format!(
            "for p in $(pidof baton); do \
             grep -q load /proc/$p/cmdline && kill -{signal} $p; done; true"
        ))
        .map(drop)
}

fn interrupted(stage: &mut Stage) -> Result<()> {
    let load = stage.begin(&stage.load(""));
    stage.wait_started()?;
    signal(stage, "INT")?;
    load.end()?
        .expect(1, &["interrupted", "everything was taken back"])?;
    ensure!(!stage.is_loaded()?, "a kernel is still loaded");
    stage.unharmed()?;
    // Nobody can take anything back then, but what is there can be unloaded.
    let load = stage.begin(&stage.load(""));
    stage.wait_started()?;
    signal(stage, "KILL")?;
    ensure!(load.end()?.code.is_none(), "it was not killed");
    stage.unload()
}

/// Loads a kernel if none is loaded.
fn beside(stage: &mut Stage) -> Result<()> {
    match stage.is_loaded()? {
        true => Ok(()),
        false => stage.loaded(""),
    }
}

fn load_twice(stage: &mut Stage) -> Result<()> {
    beside(stage)?;
    stage.refuses("", 1, &["a kernel is loaded already", "baton unload"])?;
    ensure!(
        stage.status()?["second"]["state"] == "ready",
        "the first is not ready any more"
    );
    Ok(())
}

fn not_for_others(stage: &mut Stage) -> Result<()> {
    beside(stage)?;
    let at = stage.address(region::HEADER, 0)?;
    for device in ["/dev/baton", "/dev/mem"] {
        let poke = format!("baton-guest mischief poke --device {device} --at {at} --flip 0");
        let said = stage.try_shell(&format!("su -s /bin/sh nobody -c '{poke}'"))?;
        said.expect(1, &["cannot open", "Permission denied"])?;
    }
    // Root can map what the module holds, and nothing else.
    stage.shell(&format!("baton-guest mischief poke --at {at} --flip 0"))?;
    let beyond = stage.try_shell("baton-guest mischief poke --at 16777216 --flip 0")?;
    beyond.expect(1, &["cannot map", "not permitted"])
}

fn changed_region(stage: &mut Stage) -> Result<()> {
    beside(stage)?;
    for place in [region::HEADER, region::MACHINE, region::DESCRIPTOR] {
        let at = stage.address(place, 64)?;
        stage.poke(at)?;
        let phrases = [
            place.name,
            "has changed since it was written",
            "baton unload",
        ];
        stage.baton("update")?.expect(1, &phrases)?;
        stage.poke(at)?;
    }
    Ok(())
}

/// The network's page is wrong again as soon as `update` has written it: the agent must see that.
fn spoiled(stage: &Stage, line: &str) -> Result<String> {
    let magic = stage.address(region::NETWORK, 0)?;
    stage.shell(&format!(
        "baton-guest mischief poke --at {magic} --hold-ms 600000 & p=$!; {line}; \
         kill $p; wait $p; true"
    ))
}

fn given_back(stage: &mut Stage) -> Result<()> {
    beside(stage)?;
    let text = spoiled(stage, "baton update 2>&1; echo status $?")?;
    for phrase in [
        "status 3",
        region::NETWORK.name,
        "This kernel goes on; nothing was lost",
    ] {
        ensure!(
            text.contains(phrase),
            "it does not say {phrase:?} but: {text}"
        );
    }
    stage.unharmed()?;
    stage.wait("it waits again", |stage| {
        Ok(stage.status()?["second"]["state"] == "ready")
    })
}

/// That neither succeeds is only so that there is a machine left to look at.
fn update_twice(stage: &mut Stage) -> Result<()> {
    beside(stage)?;
    let text = spoiled(
        stage,
        "(baton update >/tmp/one 2>&1; echo status $? >>/tmp/one) & one=$!; \
         (baton update >/tmp/two 2>&1; echo status $? >>/tmp/two) & two=$!; \
         wait $one $two; cat /tmp/one /tmp/two",
    )?;
    for phrase in [
        "status 3",
        "status 1",
        "another baton command is at work",
        "baton update",
        "This kernel goes on",
    ] {
        ensure!(
            text.contains(phrase),
            "they do not say {phrase:?} but: {text}"
        );
    }
    stage.wait("it waits again", |stage| {
        Ok(stage.status()?["second"]["state"] == "ready")
    })?;
    stage.unload()
}

fn three_cycles(stage: &mut Stage) -> Result<()> {
    for number in 1..=3 {
        stage.loaded("")?;
        stage.unload()?;
        println!("      {number}: {}", cycles::Use::of(stage)?);
        stage.unharmed()?;
    }
    Ok(())
}
