// Package passwordfile authenticates clients by user name and password from a
// file in mosquitto's format: one "user:hash" per line, where hash is
//
//	$6$salt$hash                            SHA-512 of password and salt
//	$7$iterations$salt$hash                 PBKDF2-HMAC-SHA512
//	$argon2id$v=19$m=47104,t=1,p=1$salt$hash
//
// with base64 as mosquitto and libargon2 write it. Put writes the last kind,
// which mosquitto reads from 2.1 on.
//
// The file is read strictly: a line that is not understood is an error with
// its number, and none of the file is used. Lines that begin with "#" are
// comments; a byte order mark and CRLF line ends are accepted.
//
// A password takes as long to refuse for an unknown user as for a known one:
// unknown users are checked against the parameters of some known user, always
// the same one for the same name. At most Config.Workers passwords are hashed
// at a time; others wait, as long as their context lasts. A success is
// remembered for 30 seconds by a keyed hash, a failure never. All methods may
// be called from any goroutine.
//
// It leaves out what the user may do, and passwords in clear text.
package passwordfile
