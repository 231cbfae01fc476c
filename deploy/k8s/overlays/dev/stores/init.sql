-- A database and a role for each service that has one, as in production: neither can see the other's.
CREATE ROLE messages LOGIN PASSWORD 'development';
CREATE ROLE media LOGIN PASSWORD 'development';
CREATE DATABASE messages OWNER messages;
CREATE DATABASE media OWNER media;
REVOKE CONNECT ON DATABASE messages, media FROM PUBLIC;
