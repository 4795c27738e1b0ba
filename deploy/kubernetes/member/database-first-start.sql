-- What the database's first start runs, as its superuser, for Compose and Kubernetes alike. The member's role owns one
-- database, in which it makes its schemas, and may nothing else. The superuser keeps no password: nobody is it over the
-- network.
\set password `cat /run/secrets/database-password`
SET password_encryption = 'scram-sha-256';
-- The password must not reach the server's log, whatever goes wrong here.
SET log_min_error_statement = panic;
CREATE ROLE salus LOGIN PASSWORD :'password';
CREATE DATABASE salus OWNER salus;
REVOKE ALL ON DATABASE salus FROM PUBLIC;
ALTER ROLE postgres PASSWORD NULL;
