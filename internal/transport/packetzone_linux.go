package transport

import (
	"net"
	"strconv"
	"sync"
)

// zoneNames knows the interfaces that IPv6 addresses of the local link belong to.
// It asks the system once for each.
type zoneNames struct {
	mu      sync.Mutex
	names   map[uint32]string
	indexes map[string]uint32
}

// name is the zone for an interface: its name, or its index when it has gone.
func (z *zoneNames) name(index uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	if name, ok := z.names[index]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(index), 10)
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		name = i.Name
	}
	z.learn(name, index)
	return name
}

// index is the interface of a zone; 0 when there is none.
func (z *zoneNames) index(name string) uint32 {
	z.mu.Lock()
	defer z.mu.Unlock()
	if index, ok := z.indexes[name]; ok {
		return index
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0 // the kernel says what it makes of that
	}
	z.learn(name, uint32(i.Index))
	return uint32(i.Index)
}

func (z *zoneNames) learn(name string, index uint32) {
	if z.names == nil {
		z.names, z.indexes = map[uint32]string{}, map[string]uint32{}
	}
	z.names[index], z.indexes[name] = name, index
}
