package lwm2m

// Object is one of the registry.
type Object struct {
	Name      string
	resources map[uint16]Resource
}

// Resource is what the registry says of a resource.
type Resource struct {
	Name     string
	Type     Type
	Units    string
	Multiple bool
}

// LookupObject returns the object with an identifier.
func LookupObject(id uint16) (o Object, ok bool) {
	o, ok = objects()[id]
	return o, ok
}

// LookupResource returns a resource of an object. Those that many objects share
// are the same in all of them.
func LookupResource(object, id uint16) (r Resource, ok bool) {
	if r, ok = objects()[object].resources[id]; ok {
		return r, true
	}
	return LookupReusable(id)
}

// LookupReusable returns a resource that means the same in each object, whose
// identifier is 2048 or above.
func LookupReusable(id uint16) (r Resource, ok bool) {
	r, ok = reusable()[id]
	return r, ok
}
