package deploy

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	firstStart   = manifests + "/member/database-first-start.sql"
	secretPath   = "/run/secrets/database-password"
	testPassword = "invented-for-this-test"
)

// cluster is a PostgreSQL server of Debian's that lives for one test and listens on a socket in a directory of its own.
type cluster struct {
	bin, dir string
	as       *syscall.SysProcAttr
}

func (one cluster) run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	command := exec.Command(filepath.Join(one.bin, name), arguments...)
	command.Dir, command.SysProcAttr = one.dir, one.as
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "PGHOST=" + one.dir, "PGUSER=postgres", "PGDATABASE=postgres"}
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	return strings.TrimSpace(string(output))
}

func (one cluster) ask(t *testing.T, sql string) string {
	t.Helper()
	return one.run(t, "psql", "-v", "ON_ERROR_STOP=1", "-Atc", sql)
}

// startCluster gives a server as the image's first start makes it: the superuser has the password of the secret.
func startCluster(t *testing.T) cluster {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL: run tests/foreign/deploy/run")
	}
	dir, err := os.MkdirTemp("", "salus-first-start-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	one := cluster{bin: found[len(found)-1], dir: dir}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(testPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// PostgreSQL refuses to run as root.
	if os.Getuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		one.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		for _, path := range []string{dir, password} {
			if err := os.Chown(path, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	one.run(t, "initdb", "-D", data, "-U", "postgres", "--pwfile", password, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8")
	one.run(t, "pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", "-c listen_addresses='' -k "+dir, "start")
	t.Cleanup(func() { one.run(t, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop") })
	return one
}

func TestTheFirstStartMakesARoleThatOwnsOneDatabaseAndIsNoSuperuser(t *testing.T) {
	one := startCluster(t)
	script, err := os.ReadFile(firstStart)
	if err != nil {
		t.Fatal(err)
	}
	here := strings.Replace(string(script), secretPath, filepath.Join(one.dir, "password"), 1)
	if here == string(script) {
		t.Fatalf("the password is not read from %s", secretPath)
	}
	path := filepath.Join(one.dir, "first-start.sql")
	if err := os.WriteFile(path, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	one.run(t, "psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", path)
	for sql, expected := range map[string]string{
		"SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'":                                    "t",
		"SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'salus'":                        "t",
		"SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE rolname = 'salus'": "f",
		"SELECT datdba::regrole FROM pg_database WHERE datname = 'salus'":                                         "salus",
		"SELECT has_database_privilege('salus', 'salus', 'CREATE')":                                               "t",
		"SELECT has_database_privilege('salus', 'postgres', 'CREATE')":                                            "f",
		"SHOW data_checksums": "on",
	} {
		if found := one.ask(t, sql); found != expected {
			t.Errorf("%s: %s", sql, found)
		}
	}
	log, err := os.ReadFile(filepath.Join(one.dir, "log"))
	if err != nil || strings.Contains(string(log), testPassword) {
		t.Errorf("the password is in the log, or there is none: %v", err)
	}
}
