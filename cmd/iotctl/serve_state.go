package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

// keep puts into c where the state is kept, and how; the command line wins.
func (o *serveOptions) keep(c *serve.Config) error {
	switch {
	case o.ephemeral && o.data != "":
		return usagef("--ephemeral keeps nothing, --data says where to keep it: one of them")
	case o.ephemeral && o.durability != "":
		return usagef("--ephemeral keeps nothing, so there is nothing for --durability to promise")
	case o.ephemeral:
		c.Store, c.StoreSettings = storeMem, nil
	case o.data != "" && c.Store == storeMem:
		c.Store, c.StoreSettings = storePebble, nil
	case o.durability != "" && c.Store == storeMem:
		return fail(exitUsage, errors.New("--durability is for a store on disk, and the configuration has store type mem"), o.command("--data DIR"))
	}
	switch c.Store {
	case "", storePebble:
		return o.keepOnDisk(c)
	}
	return nil // mem, or a type that is reported together with the rest
}

func (o *serveOptions) keepOnDisk(c *serve.Config) error {
	s, _ := c.StoreSettings.(storeSettings) // or none
	if o.durability != "" {
		if err := s.Durability.UnmarshalText([]byte(o.durability)); err != nil {
			return usagef("--durability: %w", err)
		}
	}
	if o.data != "" {
		s.Dir = serve.File(o.data)
	}
	dir, err := dataDir(string(s.Dir))
	if err != nil {
		return err
	}
	s.Dir = serve.File(dir)
	keepPairing(c, dir)
	c.Store, c.StoreSettings = storePebble, s
	c.Control = filepath.Join(dir, controlFile)
	return nil
}

// tellState says where the state is.
func tellState(t *terminal, c serve.Config) {
	if s, ok := c.StoreSettings.(storeSettings); ok {
		t.notef("state is kept in %s (durability: %s)", s.Dir, s.Durability)
		return
	}
	t.notef("no state is kept: sessions and retained messages end with this process")
}

// stateDir is where c keeps the state, "" if nowhere.
func stateDir(c serve.Config) string {
	s, _ := c.StoreSettings.(storeSettings)
	return string(s.Dir)
}

// explainFull says what to do about a disk without room for the store in dir.
func explainFull(dir string, err error) error {
	return fail(exitStore, err, "what the disk has:  df -h "+quoteShell(dir))
}

// explainDamaged says what to do about a store in dir that cannot be read.
func explainDamaged(dir string, err error) error {
	return fail(exitStore, err,
		"what is wrong, as far as it can be read:  iotctl store check --data "+quoteShell(dir),
		"to go back to a backup:  iotctl store restore BACKUP --data NEW")
}

// explainBroken says what has become of messages when the store has failed.
func explainBroken(c serve.Config, broken *serve.StoreError) error {
	s, ok := c.StoreSettings.(storeSettings)
	if !ok {
		return fail(exitStore, broken)
	}
	promise := map[pebble.Durability]string{
		pebble.Sync:     "everything that was acknowledged before is on disk",
		pebble.Interval: "what was acknowledged last may be lost (durability: interval)",
		pebble.Memory:   "what was acknowledged may be lost (durability: memory)",
	}[s.Durability]
	err := fmt.Errorf("the store in %s has failed: %w; %s", s.Dir, broken.Err, promise)
	if errors.Is(err, syscall.ENOSPC) {
		return explainFull(string(s.Dir), err)
	}
	return fail(exitStore, err,
		"the system log may say more about the disk:  dmesg | tail",
		"before the next start:  iotctl store check --data "+quoteShell(string(s.Dir)))
}
